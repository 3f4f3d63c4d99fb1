/* SPDX-License-Identifier: Apache-2.0 */
#include "user/tls/settings.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include <openssl/err.h>

#include "user/base/check.h"
#include "user/base/hash.h"
#include "user/tls/parts.h"

enum { NAME_MAX_BYTES = 64 };

/* ---- what the library supports ---- */

static SSL_CTX *probe_context;

static void probe_make(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
	    SSL_CTX_set_max_proto_version(ctx, 0) &&
	    SSL_CTX_set_cipher_list(ctx, "ALL:COMPLEMENTOFALL:!aNULL:!eNULL:!PSK:!SRP") &&
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_"
					  "POLY1305_SHA256:"
					  "TLS_AES_128_CCM_SHA256:TLS_AES_128_CCM_8_SHA256")) {
		SSL_CTX_set_security_level(ctx, TLS_SECURITY_LEVEL);
		probe_context = ctx;
	} else {
		SSL_CTX_free(ctx);
	}
	ERR_clear_error();
}

SSL *tls_probe(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, probe_make);
	ERR_clear_error();
	return probe_context ? SSL_new(probe_context) : NULL;
}

bool tls_params_versions(const struct tls_params *params, int *ret_min, int *ret_max)
{
	*ret_min = params->min_version == TLS_VERSION_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
	*ret_max = params->max_version == TLS_VERSION_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
	if (params->ciphers.len && !params->suites.len)
		*ret_max = TLS1_2_VERSION;
	if (params->suites.len && !params->ciphers.len)
		*ret_min = TLS1_3_VERSION;
	return *ret_min <= *ret_max;
}

/* ---- names ---- */

/*
 * Copies a configured name for messages and the library: printable, without separators of the library's
 * lists.
 */
static bool name_copy(struct span name, char ret[NAME_MAX_BYTES], struct tls_fault *fault)
{
	if (name.len == 0 || name.len >= NAME_MAX_BYTES) {
		tls_fault_set(fault, "a name of 1 to %d bytes is needed", NAME_MAX_BYTES - 1);
		return false;
	}
	for (size_t i = 0; i < name.len; i++) {
		ret[i] = name.data[i];
		if (!isalnum((unsigned char)ret[i]) && ret[i] != '-' && ret[i] != '_') {
			tls_fault_set(fault, "\"%.*s\" has a byte that is not allowed in a name",
				      SPAN_FMT(name));
			return false;
		}
	}
	ret[name.len] = '\0';
	return true;
}

static bool list_has(struct span list, struct span name)
{
	struct span element;

	while (span_split(&list, ':', &element))
		if (span_eq(element, name))
			return true;
	return false;
}

/* Appends ":name" and a NUL; the old list stays in the arena. */
static int list_add(struct span *list, struct span name, struct arena *arena)
{
	size_t len = list->len + (list->len ? 1 : 0) + name.len;
	char *text;

	if (list_has(*list, name))
		return 0;
	text = arena_bytes(arena, len + 1);
	if (!text)
		return -ENOMEM;
	if (list->len) {
		memcpy(text, list->data, list->len);
		text[list->len] = ':';
	}
	memcpy(text + len - name.len, name.data, name.len);
	text[len] = '\0';
	*list = span_of(text, len);
	return 0;
}

static const SSL_CIPHER *find_cipher(const STACK_OF(SSL_CIPHER) * list, const char *name)
{
	for (int i = 0; i < sk_SSL_CIPHER_num(list); i++) {
		const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(list, i);
		const char *standard = SSL_CIPHER_standard_name(cipher);

		if (!strcasecmp(SSL_CIPHER_get_name(cipher), name) ||
		    (standard && !strcasecmp(standard, name)))
			return cipher;
	}
	return NULL;
}

int tls_params_add_cipher(struct tls_params *params, struct span name, struct arena *arena,
			  struct tls_fault *fault)
{
	char text[NAME_MAX_BYTES];
	STACK_OF(SSL_CIPHER) * list;
	const SSL_CIPHER *cipher;
	int error = -EINVAL;
	SSL *ssl;

	if (!name_copy(name, text, fault))
		return -EINVAL;
	/* AgentgatewayPolicy's notation. */
	if (!strncasecmp(text, "TLS13_", 6))
		memmove(text + 3, text + 5, strlen(text + 5) + 1);
	ssl = tls_probe();
	list = ssl ? SSL_get1_supported_ciphers(ssl) : NULL;
	if (!list) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	cipher = find_cipher(list, text);
	if (!cipher)
		tls_fault_set(fault,
			      "no cipher \"%s\" for TLS 1.2 or 1.3 here: openssl ciphers -s -stdname -tls1_2 "
			      "(or"
			      " -tls1_3) lists what there is",
			      text);
	else if (!strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3"))
		error = list_add(&params->suites, span_str(SSL_CIPHER_get_name(cipher)), arena);
	else
		error = list_add(&params->ciphers, span_str(SSL_CIPHER_get_name(cipher)), arena);
	sk_SSL_CIPHER_free(list);
	SSL_free(ssl);
	return error;
}

static const struct {
	const char *name; /* as configured */
	const char *group; /* the library's name */
} GROUP_NAMES[] = {
	{ "X25519", "X25519" },
	{ "X448", "X448" },
	{ "P-256", "P-256" },
	{ "secp256r1", "P-256" },
	{ "prime256v1", "P-256" },
	{ "P-384", "P-384" },
	{ "secp384r1", "P-384" },
	{ "P-521", "P-521" },
	{ "secp521r1", "P-521" },
	{ "X25519MLKEM768", "X25519MLKEM768" },
	{ "X25519_MLKEM768", "X25519MLKEM768" },
	{ "SecP256r1MLKEM768", "SecP256r1MLKEM768" },
	{ "SecP384r1MLKEM1024", "SecP384r1MLKEM1024" },
	{ "ffdhe2048", "ffdhe2048" },
	{ "ffdhe3072", "ffdhe3072" },
};

int tls_params_add_group(struct tls_params *params, struct span name, struct arena *arena,
			 struct tls_fault *fault)
{
	char text[NAME_MAX_BYTES];
	const char *group = NULL;
	bool is_there = false;
	SSL *ssl;

	if (!name_copy(name, text, fault))
		return -EINVAL;
	for (size_t i = 0; i < ARRAY_LEN(GROUP_NAMES) && !group; i++)
		if (!strcasecmp(GROUP_NAMES[i].name, text))
			group = GROUP_NAMES[i].group;
	if (group) {
		ssl = tls_probe();
		if (!ssl)
			return -ENOMEM;
		is_there = SSL_set1_groups_list(ssl, group) == 1;
		SSL_free(ssl);
		ERR_clear_error();
	}
	if (is_there)
		return list_add(&params->groups, span_str(group), arena);
	if (group)
		tls_fault_set(fault, "this library (%s) has no group \"%s\"",
			      OpenSSL_version(OPENSSL_VERSION), text);
	else
		tls_fault_set(fault,
			      "no group \"%s\": there are X25519, P-256, P-384, P-521, X448, X25519MLKEM768",
			      text);
	return -EINVAL;
}

int tls_params_add_alpn(struct tls_params *params, struct span name, struct arena *arena,
			struct tls_fault *fault)
{
	char *text;

	if (name.len == 0 || name.len > UINT8_MAX) {
		tls_fault_set(fault, "a protocol of 1 to 255 bytes is needed");
		return -EINVAL;
	}
	if (params->alpn.len + 1 + name.len > TLS_ALPN_MAX_BYTES) {
		tls_fault_set(fault, "too many protocols");
		return -EINVAL;
	}
	text = arena_bytes(arena, params->alpn.len + 1 + name.len);
	if (!text)
		return -ENOMEM;
	if (params->alpn.len)
		memcpy(text, params->alpn.data, params->alpn.len);
	text[params->alpn.len] = (char)name.len;
	memcpy(text + params->alpn.len + 1, name.data, name.len);
	params->alpn = span_of(text, params->alpn.len + 1 + name.len);
	return 0;
}

/* ---- hashes and checks ---- */

/* Includes the lengths, so that different texts with the same concatenation get different hashes. */
static uint64_t hash_text(uint64_t hash, struct span text)
{
	return hash_mix(hash_mix(hash, text.len), hash_bytes(text));
}

static uint64_t hash_params(const struct tls_params *params)
{
	uint64_t hash = hash_mix(params->min_version, params->max_version);

	hash = hash_text(hash, params->ciphers);
	hash = hash_text(hash, params->suites);
	hash = hash_text(hash, params->groups);
	return hash_text(hash, params->alpn);
}

/* 0 means "not computed". */
static uint64_t hash_end(uint64_t hash)
{
	hash = hash_mix(hash, 0x9e3779b97f4a7c15u);
	hash = hash_mix(hash, hash >> 29);
	return hash ? hash : 1;
}

/* Each name was checked when it was added; together they may exclude everything. */
static int check_params(const struct tls_params *params, struct tls_fault *fault)
{
	int min, max;

	*fault = (struct tls_fault){ 0 };
	if (params->min_version == TLS_VERSION_1_3 && params->max_version == TLS_VERSION_1_2) {
		tls_fault_set(fault, "the minimum version, TLS 1.3, is above the maximum, TLS 1.2");
		return -EINVAL;
	}
	if (!tls_params_versions(params, &min, &max)) {
		tls_fault_set(fault, "all configured ciphers are of TLS %s, which the versions exclude",
			      params->ciphers.len ? "1.2" : "1.3");
		return -EINVAL;
	}
	return 0;
}

int settings_compile_server(struct tls_server_settings *settings, struct tls_fault *fault)
{
	int error = check_params(&settings->params, fault);
	bool must_verify =
		settings->client_auth == TLS_CLIENT_OPTIONAL || settings->client_auth == TLS_CLIENT_REQUIRED;

	if (!error && must_verify && !settings->client_trust) {
		tls_fault_set(fault, "client certificates are requested, but no authority is configured that "
				     "issues them");
		error = -EINVAL;
	}
	if (error)
		return error;
	settings->hash = hash_mix(hash_params(&settings->params), settings->client_auth);
	settings->hash = hash_mix(settings->hash, settings->client_trust ? settings->client_trust->hash : 0);
	settings->hash = hash_end(hash_mix(settings->hash, 's'));
	return 0;
}

int settings_compile_client(struct tls_client_settings *settings, struct tls_fault *fault)
{
	int error = check_params(&settings->params, fault);
	uint64_t hash;

	if (!error && settings->verify != TLS_VERIFY_NONE && !settings->trust) {
		tls_fault_set(fault,
			      "the server's certificate must be verified, but no authority is configured");
		error = -EINVAL;
	}
	if (error)
		return error;
	hash = hash_mix(hash_params(&settings->params), settings->verify);
	hash = hash_mix(hash, settings->trust ? settings->trust->hash : 0);
	hash = hash_text(hash, settings->identity ? settings->identity->certificate.fingerprint : SPAN(""));
	hash = hash_text(hash, settings->hostname);
	for (uint32_t i = 0; i < settings->name_count; i++)
		hash = hash_text(hash, settings->name_list[i]);
	settings->hash = hash_end(hash_mix(hash, 'c'));
	return 0;
}
