/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "user/base/text.h"
#include "user/tls/parts.h"

static int describe_name(const X509_NAME *name, struct arena *arena, struct span *ret)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long len;

	if (!bio)
		return -ENOMEM;
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) {
		BIO_free(bio);
		return -ENOMEM;
	}
	len = BIO_get_mem_data(bio, &text);
	*ret = arena_copy(arena, span_of(text, (size_t)len));
	BIO_free(bio);
	return ret->data ? 0 : -ENOMEM;
}

static int describe_serial(const X509 *x509, struct arena *arena, struct span *ret)
{
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), NULL);
	char *hex = number ? BN_bn2hex(number) : NULL;

	if (hex)
		*ret = arena_copy(arena, span_str(hex));
	OPENSSL_free(hex);
	BN_free(number);
	return hex && ret->data ? 0 : -ENOMEM;
}

static int describe_fingerprint(const X509 *x509, struct arena *arena, struct span *ret)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char text[3 * EVP_MAX_MD_SIZE];
	unsigned int len;

	if (!X509_digest(x509, EVP_sha256(), digest, &len))
		return -ENOMEM;
	for (unsigned int i = 0; i < len; i++)
		snprintf(text + 3 * i, 4, "%02X:", digest[i]);
	*ret = arena_copy(arena, span_of(text, 3 * len - 1));
	return ret->data ? 0 : -ENOMEM;
}

static int describe_key(const X509 *x509, struct arena *arena, struct span *ret)
{
	EVP_PKEY *key = X509_get0_pubkey(x509);
	char text[96];
	char group[64] = "";

	if (!key)
		snprintf(text, sizeof(text), "unknown");
	else if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS"))
		snprintf(text, sizeof(text), "RSA %d", EVP_PKEY_get_bits(key));
	else if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) && group[0])
		snprintf(text, sizeof(text), "EC %s", group);
	else if (EVP_PKEY_get0_type_name(key))
		snprintf(text, sizeof(text), "%s", EVP_PKEY_get0_type_name(key));
	else
		snprintf(text, sizeof(text), "unknown");
	*ret = arena_copy(arena, span_str(text));
	return ret->data ? 0 : -ENOMEM;
}

static int64_t seconds_of(const ASN1_TIME *when)
{
	struct tm tm;

	return ASN1_TIME_to_tm(when, &tm) ? (int64_t)timegm(&tm) : 0;
}

/* Copies a foreign name with unusual bytes escaped, so that they cannot pass for letters of a name. */
static int describe_text(const ASN1_STRING *from, bool is_lower, struct arena *arena, struct span *ret)
{
	struct span raw = span_of(ASN1_STRING_get0_data(from), (size_t)ASN1_STRING_length(from));
	struct text text;
	char *lower;
	int error;

	text_init(&text);
	text_escaped(&text, raw);
	error = text_error(&text);
	if (!error) {
		lower = arena_bytes(arena, text.len + 1);
		error = lower ? 0 : -ENOMEM;
		if (lower && text.len && is_lower)
			span_lower(text_span(&text), lower);
		else if (lower && text.len)
			memcpy(lower, text.data, text.len);
		*ret = span_of(lower, text.len);
	}
	text_done(&text);
	return error;
}

static int describe_address(const ASN1_OCTET_STRING *from, struct arena *arena, struct span *ret)
{
	int family = ASN1_STRING_length(from) == 4 ? AF_INET : AF_INET6;
	char text[INET6_ADDRSTRLEN];

	if (ASN1_STRING_length(from) != 4 && ASN1_STRING_length(from) != 16)
		snprintf(text, sizeof(text), "(bad address)");
	else if (!inet_ntop(family, ASN1_STRING_get0_data(from), text, sizeof(text)))
		return -ENOMEM;
	*ret = arena_copy(arena, span_str(text));
	return ret->data ? 0 : -ENOMEM;
}

static int describe_alternative(const GENERAL_NAME *name, struct arena *arena, struct tls_certificate *ret)
{
	switch (name->type) {
	case GEN_DNS:
		return describe_text(name->d.dNSName, true, arena, &ret->name_list[ret->name_count++]);
	case GEN_IPADD:
		return describe_address(name->d.iPAddress, arena, &ret->name_list[ret->name_count++]);
	case GEN_URI:
		return describe_text(name->d.uniformResourceIdentifier, false, arena,
				     &ret->uri_list[ret->uri_count++]);
	default:
		return 0;
	}
}

static int describe_alternatives(const X509 *x509, struct arena *arena, struct tls_certificate *ret)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	int count = names ? sk_GENERAL_NAME_num(names) : 0;
	int error = 0;

	if (count > 0) {
		ret->name_list = arena_take(arena, (size_t)count * sizeof(*ret->name_list));
		ret->uri_list = arena_take(arena, (size_t)count * sizeof(*ret->uri_list));
		if (!ret->name_list || !ret->uri_list)
			error = -ENOMEM;
	}
	for (int i = 0; i < count && !error; i++)
		error = describe_alternative(sk_GENERAL_NAME_value(names, i), arena, ret);
	GENERAL_NAMES_free(names);
	return error;
}

int tls_certificate_describe(struct x509_st *x509, struct arena *arena, struct tls_certificate *ret)
{
	int error;

	*ret = (struct tls_certificate){ 0 };
	error = describe_name(X509_get_subject_name(x509), arena, &ret->subject);
	if (!error)
		error = describe_name(X509_get_issuer_name(x509), arena, &ret->issuer);
	if (!error)
		error = describe_serial(x509, arena, &ret->serial);
	if (!error)
		error = describe_fingerprint(x509, arena, &ret->fingerprint);
	if (!error)
		error = describe_key(x509, arena, &ret->key);
	if (!error)
		error = describe_alternatives(x509, arena, ret);
	ret->not_before_s = seconds_of(X509_get0_notBefore(x509));
	ret->not_after_s = seconds_of(X509_get0_notAfter(x509));
	return error;
}

int tls_certificate_common_name(const X509 *x509, struct arena *arena, struct span *ret)
{
	const X509_NAME *subject = X509_get_subject_name(x509);
	int at = -1, last = -1, len;
	unsigned char *text = NULL;
	int error = 0;

	*ret = (struct span){ 0 };
	while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
		last = at;
	if (last < 0)
		return 0;
	len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
	if (len > 0 && !memchr(text, '\0', (size_t)len)) {
		*ret = arena_copy(arena, span_of(text, (size_t)len));
		error = ret->data ? 0 : -ENOMEM;
	}
	OPENSSL_free(text);
	return error;
}

bool tls_certificate_settle(X509 *x509)
{
	return X509_check_purpose(x509, -1, 0) == 1 && X509_get0_pubkey(x509);
}

int tls_no_passphrase(char *buf, int size, int is_written, void *context)
{
	(void)buf, (void)size, (void)is_written, (void)context;
	return -1;
}

/* Reads the next certificate, or returns NULL with *ret_error; 0: the end of the text. */
static X509 *read_certificate(BIO *bio, int number, int *ret_error, struct tls_fault *fault)
{
	X509 *x509 = PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL);
	unsigned long code = ERR_peek_last_error();

	*ret_error = 0;
	if (!x509 && ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
		*ret_error = -ENOMEM;
	} else if (!x509 && ERR_GET_REASON(code) != PEM_R_NO_START_LINE) {
		*ret_error = -EINVAL;
		tls_fault_set(fault, "certificate %d of the text cannot be read: %s", number,
			      ERR_reason_error_string(ERR_peek_error()));
	} else if (x509 && !tls_certificate_settle(x509)) {
		*ret_error = -EINVAL;
		tls_fault_set(fault, "certificate %d of the text has extensions or a key that cannot be read",
			      number);
		X509_free(x509);
		x509 = NULL;
	}
	ERR_clear_error();
	return x509;
}

bool tls_has_block(struct span text, const char *block)
{
	return memmem(text.data, text.len, block, strlen(block)) != NULL;
}

static void explain_no_certificate(struct span text, struct tls_fault *fault)
{
	if (span_trim(text).len == 0)
		tls_fault_set(fault, "the text of the certificate is empty");
	else if (text.data[0] == 0x30)
		tls_fault_set(fault, "the certificate is DER: write PEM (openssl x509 -inform DER -in FILE)");
	else if (tls_has_block(text, "-----BEGIN CERTIFICATE REQUEST") || tls_has_block(text, "-----BEGIN "
											      "NEW "
											      "CERTIFICATE"))
		tls_fault_set(fault, "this is a certificate request: write the certificate that an "
				     "authority issued for it");
	else if (tls_has_block(text, "PRIVATE KEY-----"))
		tls_fault_set(fault, "found a private key instead of a certificate: are certificate "
				     "and key swapped?");
	else
		tls_fault_set(fault, "no certificate in the text: write PEM, which begins with -----BEGIN "
				     "CERTIFICATE-----");
}

int tls_read_certificates(struct span pem, size_t max_count, STACK_OF(X509) * *ret_list,
			  struct tls_fault *fault)
{
	BIO *bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.len ? pem.data : "", (int)pem.len) : NULL;
	STACK_OF(X509) *list = sk_X509_new_null();
	int error = bio && list ? 0 : -ENOMEM;

	ERR_clear_error();
	while (!error) {
		X509 *x509 = read_certificate(bio, sk_X509_num(list) + 1, &error, fault);

		if (!x509)
			break;
		if ((size_t)sk_X509_num(list) == max_count) {
			error = -EINVAL;
			tls_fault_set(fault, "more than %zu certificates", max_count);
		} else if (!sk_X509_push(list, x509)) {
			error = -ENOMEM;
		}
		if (error)
			X509_free(x509);
	}
	BIO_free(bio);
	if (!error && sk_X509_num(list) == 0) {
		error = -EINVAL;
		explain_no_certificate(pem, fault);
	}
	if (error)
		sk_X509_pop_free(list, X509_free);
	else
		*ret_list = list;
	return error;
}
