/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/tls_value.h"

#include <errno.h>

#include "config/core/values/tls_files.h"
#include "config/core/values/values.h"
#include "user/base/limits.h"
#include "user/base/units.h"

/* -------------------------------------------------------------------------------- versions and names */

static const struct tls_value_keys file_keys = { "cipherSuites", "keyExchangeGroups", "alpn" };

typedef int tls_adder(struct tls_params *params, struct span name, struct arena *arena,
		      struct tls_fault *fault);

/* Converts the nodes of a list to names; invalid elements are reported and omitted. */
static bool add_names(struct decoder *d, const struct yaml_node *list, const struct span *name_list,
		      uint32_t name_count, tls_adder *add, struct tls_params *params)
{
	struct tls_fault fault = { "" };
	bool is_valid = true;

	for (uint32_t i = 0; i < name_count; i++) {
		int result = add(params, name_list[i], d->arena, &fault);
		const struct yaml_node *node = list;

		if (result == 0)
			continue;
		is_valid = false;
		if (result == -ENOMEM) {
			d->failed = true;
			return false;
		}
		if (list)
			yaml_each(child, list)
				if (list->count == name_count && child->index == i)
					node = child;
		config_error(d->report, node, "%s", fault.text);
	}
	return is_valid;
}

bool tls_value_params(struct decoder *d, const struct yaml_node *node, const struct tls_value_keys *keys,
		      const struct tls_words *words, struct tls_params *params)
{
	bool is_valid = true;

	params->min_version = words->min_version;
	params->max_version = words->max_version;
	if (words->min_version && words->max_version && words->min_version > words->max_version) {
		config_error(d->report, node, "the least version of TLS is above the greatest; swap them");
		is_valid = false;
	}
	is_valid &= add_names(d, decode_get(node, keys->ciphers), words->cipher_list, words->cipher_count,
			      tls_params_add_cipher, params);
	is_valid &= add_names(d, decode_get(node, keys->groups), words->group_list, words->group_count,
			      tls_params_add_group, params);
	return add_names(d, decode_get(node, keys->alpn), words->alpn_list, words->alpn_count,
			 tls_params_add_alpn, params) &&
	       is_valid;
}

/* Upstream also has words for the two obsolete versions. */
static bool decode_version(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const words[] = { "TLS_V1_2", "TLS_V1_3", "TLS_V1_0", "TLS_V1_1" };
	unsigned index;

	if (!DECODE_WORD(d, node, words, &index))
		return false;
	if (index > 1)
		config_error(d->report, node, "TLS 1.0 and 1.1 are not spoken (RFC 8996); write TLS_V1_2");
	*(unsigned *)ret = TLS_VERSION_1_2 + (index > 1 ? 0 : index);
	return true;
}

#define VERSION(object, member)                                                                              \
	AS_WORD(object, words.member), .decode = decode_version, .word_base = TLS_VERSION_1_2,               \
				       WORDS("TLS_V1_2", "TLS_V1_3")
#define NAMES(object, kind)                                                                                  \
	AS_LIST(SCHEMA_NAMES, object, words.kind##_list, words.kind##_count, struct span), RANGE(0, 64),     \
		.dump = DUMP_NOT_ZERO, .value_doc = "list of names"
#define CIPHERS_DOC                                                                                          \
	.default_doc = "all safe ones",                                                                      \
	.doc = "only these, by the name of IANA (`TLS_AES_128_GCM_SHA256`) or OpenSSL "                      \
	       "(`ECDHE-RSA-AES128-GCM-SHA256`)"
#define GROUPS_DOC                                                                                           \
	.default_doc = "`X25519MLKEM768` if the TLS library has it, `X25519`, `P-256`, `P-384`",             \
	.doc = "only these: `X25519`, `P-256`, `secp384r1`, `X25519MLKEM768` …"

/* -------------------------------------------------------------------------------- listeners */

static const struct schema_row source_rows[] = {
	{ "cert", AS_TEXT(struct certificate_source, cert), .need = "write the path of a certificate",
	  .value_doc = "path", .doc = "PEM: the certificate, then the intermediate certificates" },
	{ "key", AS_TEXT(struct certificate_source, key), .need = "write the path of its key",
	  .value_doc = "path", .doc = "PEM, not encrypted" },
};
static const struct schema source_schema = SCHEMA(source_rows, struct certificate_source);

static bool decode_source(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return schema_decode(d, node, &source_schema, ret);
}

static bool decode_old_min(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct listener_tls *tls = ret;

	return decode_version(d, node, &tls->words.min_version);
}

static bool decode_old_max(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct listener_tls *tls = ret;

	return decode_version(d, node, &tls->words.max_version);
}

/* The node has `cert` and `key`. */
static void load_identity(struct decoder *d, const struct yaml_node *node,
			  const struct certificate_source *source, const struct tls_identity **list,
			  uint32_t *count)
{
	const struct tls_identity *identity;

	if (!source->cert.len || !source->key.len)
		return;
	identity = tls_files_identity(d, decode_get(node, "cert"), source->cert, decode_get(node, "key"),
				      source->key);
	if (identity)
		list[(*count)++] = identity;
}

static void load_identities(struct decoder *d, const struct yaml_node *node, struct listener_tls *tls)
{
	const struct yaml_node *list_node = decode_get(node, "certificates");
	const struct tls_identity **list = decode_take(d, (size_t)tls->source_count + 1, sizeof(*list));

	if (!list)
		return;
	load_identity(d, node, &tls->source, list, &tls->identity_count);
	if (list_node && list_node->kind == YAML_LIST && tls->source_count == list_node->count)
		yaml_each(child, list_node)
			load_identity(d, child, &tls->source_list[child->index], list, &tls->identity_count);
	tls->identity_list = list;
}

static void check_clients(struct decoder *d, const struct yaml_node *node, struct listener_tls *tls)
{
	const struct yaml_node *auth = decode_get(node, "clientAuth");
	const struct yaml_node *forward = decode_get(node, "forwardClientCertificate");

	if (tls->root_source.len) {
		tls->settings.client_trust = tls_files_trust(d, decode_get(node, "root"), tls->root_source);
		if (tls->settings.client_auth == TLS_CLIENT_NOT_ASKED)
			tls->settings.client_auth = TLS_CLIENT_REQUIRED;
		return;
	}
	if (auth)
		config_error_key(d->report, auth,
				 "certificates of clients are verified with authorities: write root, too");
	if (forward && tls->forwards_client_certificate)
		config_error_key(d->report, forward,
				 "clients are not asked for a certificate without root: write root, too");
}

static void check_listener(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct listener_tls *tls = object;
	bool has_cert = decode_get(node, "cert"), has_key = decode_get(node, "key");

	if (has_cert != has_key)
		config_error(d->report, node, "has %s without %s; write both", has_cert ? "cert" : "key",
			     has_cert ? "key" : "cert");
	else if (!has_cert && !decode_get(node, "certificates") &&
		 !schema_refuses(&listener_tls_schema, node))
		config_error(d->report, node,
			     "has no certificate; write cert and key, or certificates: [{cert: ..., key: "
			     "...}]");
	load_identities(d, node, tls);
	check_clients(d, node, tls);
	tls_value_params(d, node, &file_keys, &tls->words, &tls->settings.params);
}

static bool decode_mode(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const words[] = { "static", "dynamicCa" };
	unsigned index;

	(void)ret;
	if (DECODE_WORD(d, node, words, &index) && index > 0)
		config_error(d->report, node,
			     "mode dynamicCa is not supported yet; use static and write a certificate");
	return true;
}

static const struct schema_row listener_tls_rows[] = {
	{ "cert", AS_TEXT(struct listener_tls, source.cert), .dump = DUMP_NOT_ZERO, .value_doc = "path",
	  .doc = "PEM: the certificate, then the intermediate certificates" },
	{ "key", AS_TEXT(struct listener_tls, source.key), .dump = DUMP_NOT_ZERO, .value_doc = "path",
	  .doc = "PEM, not encrypted" },
	{ "certificates",
	  AS_OBJECTS(struct listener_tls, source_list, source_count, &source_schema,
		     struct certificate_source),
	  .element = decode_source, RANGE(0, LIMIT_TLS_CERTIFICATES),
	  .doc = "extension: further certificates; each client gets the one with its server name, "
		 "otherwise the first" },
	{ "root", AS_TEXT(struct listener_tls, root_source), .dump = DUMP_NOT_ZERO, .value_doc = "path",
	  .default_doc = "clients send none", .doc = "PEM: authorities for client certificates" },
	{ "clientAuth", AS_WORD(struct listener_tls, settings.client_auth), .word_base = TLS_CLIENT_OPTIONAL,
	  WORDS("optional", "unverified", "required"), .default_doc = "`required` with `root`",
	  .doc = "extension: `optional`: also serves clients without a certificate; `unverified`: "
		 "accepts any certificate" },
	{ "forwardClientCertificate", AS_BOOL(struct listener_tls, forwards_client_certificate),
	  .dump = DUMP_NOT_ZERO, .doc = "extension: backends get it in `X-Forwarded-Client-Cert`" },
	{ "cipherSuites", NAMES(struct listener_tls, cipher), CIPHERS_DOC },
	{ "minTLSVersion", VERSION(struct listener_tls, min_version), .default_doc = "`TLS_V1_2`",
	  .doc = "minimum version" },
	{ "maxTLSVersion", VERSION(struct listener_tls, max_version), .default_doc = "`TLS_V1_3`",
	  .doc = "maximum version" },
	{ "minTlsVersion", AS_REST(struct listener_tls), .decode = decode_old_min, .is_hidden = true },
	{ "maxTlsVersion", AS_REST(struct listener_tls), .decode = decode_old_max, .is_hidden = true },
	{ "keyExchangeGroups", NAMES(struct listener_tls, group), GROUPS_DOC },
	{ "mode", AS_REST(struct listener_tls), .decode = decode_mode, .value_doc = "`static`",
	  .default_doc = "`static`", .doc = "other values: not supported yet" },
	{ "spiffe", .refusal = NOT_YET_SPIFFE },
};
const struct schema listener_tls_schema =
	SCHEMA(listener_tls_rows, struct listener_tls, .check = check_listener);

/* -------------------------------------------------------------------------------- frontend */

/* As bytes, in the order in which agentgateway reads and shows them. */
static bool decode_alpn_bytes(struct decoder *d, const struct yaml_node *node, struct span *ret)
{
	char bytes[UINT8_MAX];
	uint32_t byte;

	if (node->count == 0 || node->count > sizeof(bytes)) {
		config_error(d->report, node, "has %u bytes; a protocol has 1 to 255", node->count);
		return false;
	}
	yaml_each(child, node) {
		if (!decode_u32(d, child, 0, UINT8_MAX, &byte))
			return false;
		bytes[child->index] = (char)byte;
	}
	*ret = decode_keep(d, span_of(bytes, node->count));
	return ret->data != NULL;
}

static bool decode_alpn(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return node->kind == YAML_LIST ? decode_alpn_bytes(d, node, ret) : decode_name(d, node, ret);
}

static void check_frontend(struct decoder *d, const struct yaml_node *node, void *object)
{
	struct frontend_tls *tls = object;
	static const struct tls_value_keys manifest_keys = { "cipherSuites", "keyExchangeGroups",
							     "alpnProtocols" };

	tls_value_params(d, node, d->is_manifest ? &manifest_keys : &file_keys, &tls->words, &tls->params);
}

static const struct schema_row frontend_tls_rows[] = {
	{ "handshakeTimeout", AS_OPT_DURATION(struct frontend_tls, handshake_timeout), AT_LEAST(NS_PER_MS),
	  MANIFEST_AT_LEAST(100 * NS_PER_MS), .default_doc = "`15s`",
	  .doc = "from accepting a connection to the end of its handshake" },
	{ "alpn", AS_LIST(SCHEMA_NAMES, struct frontend_tls, words.alpn_list, words.alpn_count, struct span),
	  .style = STYLE_STANDALONE, .element = decode_alpn, RANGE(0, 16), .dump = DUMP_NOT_ZERO,
	  .value_doc = "list of names", .default_doc = "HTTPS: `[h2, http/1.1]`, TLS: none",
	  .doc = "application protocols in order of preference" },
	{ "alpnProtocols",
	  AS_LIST(SCHEMA_NAMES, struct frontend_tls, words.alpn_list, words.alpn_count, struct span),
	  .style = STYLE_MANIFEST, .element = decode_alpn, RANGE(0, 16) },
	{ "minVersion", VERSION(struct frontend_tls, min_version), .style = STYLE_STANDALONE,
	  .default_doc = "`TLS_V1_2`", .doc = "default for listeners" },
	{ "maxVersion", VERSION(struct frontend_tls, max_version), .style = STYLE_STANDALONE,
	  .default_doc = "`TLS_V1_3`", .doc = "default for listeners" },
	{ "minProtocolVersion", AS_WORD(struct frontend_tls, words.min_version), .style = STYLE_MANIFEST,
	  .word_base = TLS_VERSION_1_2, WORDS("1.2", "1.3") },
	{ "maxProtocolVersion", AS_WORD(struct frontend_tls, words.max_version), .style = STYLE_MANIFEST,
	  .word_base = TLS_VERSION_1_2, WORDS("1.2", "1.3") },
	{ "cipherSuites", NAMES(struct frontend_tls, cipher), CIPHERS_DOC },
	{ "keyExchangeGroups", NAMES(struct frontend_tls, group), GROUPS_DOC },
};
const struct schema frontend_tls_schema =
	SCHEMA(frontend_tls_rows, struct frontend_tls, .check = check_frontend);

/* -------------------------------------------------------------------------------- backends */

static bool decode_server_name(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return value_hostname(d, node, false, ret);
}

static void load_client(struct decoder *d, const struct yaml_node *node, struct backend_tls *tls)
{
	const struct yaml_node *cert = decode_get(node, "cert"), *key = decode_get(node, "key");

	if (!cert != !key)
		config_error(d->report, node, "has %s without %s; write both", cert ? "cert" : "key",
			     cert ? "key" : "cert");
	if (tls->source.cert.len && tls->source.key.len)
		tls->settings.identity = tls_files_identity(d, cert, tls->source.cert, key, tls->source.key);
}

/* As in agentgateway: insecureHost overrides insecure, and both disable the check of names. */
static void check_verify(struct decoder *d, const struct yaml_node *node, struct backend_tls *tls)
{
	const struct yaml_node *names = decode_get(node, "subjectAltNames");
	bool is_loose = tls->is_insecure || tls->is_insecure_host;

	tls->settings.verify = tls->is_insecure_host ? TLS_VERIFY_CHAIN
			       : tls->is_insecure    ? TLS_VERIFY_NONE
						     : TLS_VERIFY_FULL;
	if (names && is_loose)
		config_warning(d->report, names,
			       "has no effect: %s accepts any name of the backend; remove one of them",
			       tls->is_insecure_host ? "insecureHost" : "insecure");
	if (tls->root_source.len)
		tls->settings.trust = tls_files_trust(d, decode_get(node, "root"), tls->root_source);
	else if (tls->settings.verify != TLS_VERIFY_NONE)
		tls->settings.trust = tls_files_system_trust(d, node);
}

static bool compile_backend(struct decoder *d, const struct yaml_node *node, struct backend_tls *tls)
{
	struct tls_fault fault = { "" };
	int result = settings_compile_client(&tls->settings, &fault);

	if (result == -ENOMEM)
		d->failed = true;
	else if (result < 0)
		config_error(d->report, node, "%s", fault.text);
	return result == 0;
}

static void check_backend(struct decoder *d, const struct yaml_node *node, void *object)
{
	uint32_t errors = d->report->count[CONFIG_ERROR];
	struct backend_tls *tls = object;

	load_client(d, node, tls);
	check_verify(d, node, tls);
	tls_value_params(d, node, &file_keys, &tls->words, &tls->settings.params);
	if (d->report->count[CONFIG_ERROR] == errors && !d->failed)
		compile_backend(d, node, tls);
}

const struct backend_tls *tls_value_default(struct decoder *d, const struct yaml_node *node)
{
	struct backend_tls *tls = decode_take(d, 1, sizeof(*tls));

	if (!tls)
		return NULL;
	tls->is_of_scheme = true;
	tls->settings.trust = tls_files_system_trust(d, node);
	return tls->settings.trust && compile_backend(d, node, tls) ? tls : NULL;
}

static const struct schema_row backend_tls_rows[] = {
	{ "cert", AS_TEXT(struct backend_tls, source.cert), .dump = DUMP_NOT_ZERO, .value_doc = "path",
	  .default_doc = "none",
	  .doc = "PEM: the certificate of this gateway, for backends that request one" },
	{ "key", AS_TEXT(struct backend_tls, source.key), .dump = DUMP_NOT_ZERO, .value_doc = "path",
	  .doc = "PEM, not encrypted" },
	{ "root", AS_TEXT(struct backend_tls, root_source), .dump = DUMP_NOT_ZERO, .value_doc = "path",
	  .default_doc = "the system's", .doc = "PEM: authorities for the backend's certificate" },
	{ "hostname", AS_TEXT(struct backend_tls, settings.hostname), .decode = decode_server_name,
	  .dump = DUMP_NOT_ZERO, .value_doc = "name or address", .default_doc = "the host of the backend",
	  .doc = "for SNI, and required in the certificate" },
	{ "insecure", AS_BOOL(struct backend_tls, is_insecure), .dump = DUMP_NOT_ZERO,
	  .doc = "`true`: accepts any certificate" },
	{ "insecureHost", AS_BOOL(struct backend_tls, is_insecure_host), .dump = DUMP_NOT_ZERO,
	  .doc = "`true`: accepts any name in a certificate of these authorities" },
	{ "alpn", NAMES(struct backend_tls, alpn), .default_doc = "by the version of HTTP; TCP: none",
	  .doc = "application protocols in order of preference" },
	{ "subjectAltNames",
	  AS_LIST(SCHEMA_NAMES, struct backend_tls, settings.name_list, settings.name_count, struct span),
	  RANGE(0, 64), .dump = DUMP_NOT_ZERO, .value_doc = "list of names, addresses, URIs",
	  .default_doc = "`hostname`", .doc = "one of them must be in the certificate" },
	{ "keyExchangeGroups", NAMES(struct backend_tls, group), GROUPS_DOC },
	{ "spiffe", .refusal = NOT_YET_SPIFFE },
};
const struct schema backend_tls_schema = SCHEMA(backend_tls_rows, struct backend_tls, .check = check_backend);
