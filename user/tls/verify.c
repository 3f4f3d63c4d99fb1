/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/verify.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <time.h>

#include <openssl/x509v3.h>

#include "user/tls/parts.h"
#include "user/tls/session_internal.h"

enum {
	VERIFY_ARENA_BYTES = 4096,
	NAMES_SHOWN_BYTES = 160,
	NAME_SHOWN_BYTES = 80,
};

/* ---- names ---- */

static bool has_uri(X509 *x509, struct span name)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	bool is_there = false;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && !is_there; i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);

		if (one->type == GEN_URI)
			is_there = span_eq(name, span_of(ASN1_STRING_get0_data(one->d.ia5),
							 (size_t)ASN1_STRING_length(one->d.ia5)));
	}
	GENERAL_NAMES_free(names);
	return is_there;
}

bool tls_certificate_is_for(X509 *x509, struct span name)
{
	const unsigned int flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
	unsigned char address[16];
	int address_len = tls_address_parse(name, address);

	if (name.len == 0)
		return false;
	if (memmem(name.data, name.len, "://", 3))
		return has_uri(x509, name);
	if (address_len)
		return X509_check_ip(x509, address, (size_t)address_len, 0) == 1;
	name = tls_host_trim(name);
	/* OpenSSL matches ".example" with any name below it. */
	return name.len && name.data[0] != '.' &&
	       X509_check_host(x509, name.data, name.len, flags, NULL) == 1;
}

/* The names of which the peer must have one. */
static uint32_t wanted_names(const struct tls_session *session, const struct tls_shared *shared,
			     const struct span **ret_list, struct span *memory)
{
	if (shared->name_count) {
		*ret_list = shared->name_list;
		return shared->name_count;
	}
	*memory = shared->hostname.len ? shared->hostname : tls_session_host(session);
	*ret_list = memory;
	return 1;
}

/* ---- sentences ---- */

struct words {
	char text[NAMES_SHOWN_BYTES];
	size_t len;
	bool is_cut;
};

static void words_add(struct words *words, struct span name)
{
	int len;

	if (words->is_cut)
		return;
	len = snprintf(words->text + words->len, sizeof(words->text) - words->len, "%s%.*s",
		       words->len ? ", " : "", SPAN_FMT(span_first(name, NAME_SHOWN_BYTES)));
	if (words->len + (size_t)len < sizeof(words->text) - 5) {
		words->len += (size_t)len;
		return;
	}
	words->is_cut = true;
	snprintf(words->text + words->len, sizeof(words->text) - words->len, "%s",
		 words->len ? ", ..." : "...");
}

static void fault_names(struct tls_fault *fault, const struct tls_certificate *certificate,
			struct span subject, const struct span *wanted, uint32_t wanted_count)
{
	struct words has = { 0 };
	struct words wants = { 0 };

	for (uint32_t i = 0; i < certificate->name_count && !has.is_cut; i++)
		words_add(&has, certificate->name_list[i]);
	for (uint32_t i = 0; i < certificate->uri_count && !has.is_cut; i++)
		words_add(&has, certificate->uri_list[i]);
	for (uint32_t i = 0; i < wanted_count && !wants.is_cut; i++)
		words_add(&wants, wanted[i].len ? wanted[i] : SPAN("(no name)"));
	tls_fault_set(fault, "the certificate of \"%.*s\" is for %s, not for %s", SPAN_FMT(subject),
		      has.len || has.is_cut ? has.text : "no name", wants.text);
}

static void time_text(int64_t seconds, char ret[32])
{
	time_t when = (time_t)seconds;
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void fault_chain(struct tls_fault *fault, const struct tls_certificate *certificate, int error,
			bool is_client)
{
	struct span subject = span_first(certificate->subject, NAME_SHOWN_BYTES);
	struct span issuer = span_first(certificate->issuer, NAME_SHOWN_BYTES);
	char when[32];

	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		time_text(certificate->not_after_s, when);
		tls_fault_set(fault, "certificate \"%.*s\" expired on %s", SPAN_FMT(subject), when);
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		time_text(certificate->not_before_s, when);
		tls_fault_set(fault, "certificate \"%.*s\" is not valid before %s", SPAN_FMT(subject), when);
		break;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		tls_fault_set(fault, "no trusted authority issued \"%.*s\" (issuer \"%.*s\")",
			      SPAN_FMT(subject), SPAN_FMT(issuer));
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		tls_fault_set(fault, "self-signed certificate \"%.*s\"", SPAN_FMT(subject));
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		tls_fault_set(fault, "the authority \"%.*s\" at the end of the chain is not trusted",
			      SPAN_FMT(subject));
		break;
	case X509_V_ERR_INVALID_PURPOSE:
		tls_fault_set(fault, "certificate \"%.*s\" is not for TLS %s (extended key usage)",
			      SPAN_FMT(subject), is_client ? "servers" : "clients");
		break;
	default:
		tls_fault_set(fault, "certificate \"%.*s\": %s", SPAN_FMT(subject),
			      X509_verify_cert_error_string(error));
	}
}

static void explain(struct tls_session *session, X509_STORE_CTX *store, const struct tls_shared *shared)
{
	int error = X509_STORE_CTX_get_error(store);
	bool is_name = error == X509_V_ERR_HOSTNAME_MISMATCH;
	X509 *x509 = is_name ? X509_STORE_CTX_get0_cert(store) : X509_STORE_CTX_get_current_cert(store);
	struct tls_certificate certificate;
	struct tls_fault *fault = tls_session_refuse(session, TLS_FAIL_VERIFY);
	const struct span *wanted;
	struct span memory;
	struct arena arena;

	if (!fault)
		return;
	if (!x509)
		x509 = X509_STORE_CTX_get0_cert(store);
	arena_init(&arena, VERIFY_ARENA_BYTES);
	if (!x509 || tls_certificate_describe(x509, &arena, &certificate)) {
		tls_fault_set(fault, "%s", X509_verify_cert_error_string(error));
	} else if (is_name) {
		uint32_t count = wanted_names(session, shared, &wanted, &memory);

		fault_names(fault, &certificate, span_first(certificate.subject, NAME_SHOWN_BYTES), wanted,
			    count);
	} else {
		fault_chain(fault, &certificate, error, shared->is_client);
	}
	arena_done(&arena);
}

/* ---- the decision ---- */

static bool has_wanted_name(const struct tls_session *session, const struct tls_shared *shared, X509 *x509)
{
	const struct span *wanted;
	struct span memory;
	uint32_t count = wanted_names(session, shared, &wanted, &memory);

	for (uint32_t i = 0; i < count; i++)
		if (tls_certificate_is_for(x509, wanted[i]))
			return true;
	return false;
}

int tls_verify_chain(X509_STORE_CTX *store, void *context)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_session *session = SSL_get_app_data(ssl);
	const struct tls_shared *shared = tls_shared_of(ssl);

	(void)context;
	if (shared->is_client && shared->verify == TLS_VERIFY_NONE) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 1;
	}
	if (X509_verify_cert(store) != 1) {
		if (X509_STORE_CTX_get_error(store) == X509_V_OK)
			X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
		if (!shared->is_client && shared->client_auth == TLS_CLIENT_UNVERIFIED)
			return 1;
		explain(session, store, shared);
		return 0;
	}
	if (!shared->is_client || shared->verify == TLS_VERIFY_CHAIN ||
	    has_wanted_name(session, shared, X509_STORE_CTX_get0_cert(store)))
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
	explain(session, store, shared);
	return 0;
}
