/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/config_dump_tls.h"

#include "admin/dump/certificates.h"
#include "admin/dump/config_dump_schema.h"
#include "config/core/values/tls_value.h"
#include "user/base/limits.h"
#include "user/base/units.h"

static void dump_source(struct json_writer *w, const struct certificate_source *source)
{
	if (source->cert.len)
		json_string(w, "cert", source->cert);
	if (source->key.len)
		json_string(w, "key", source->key);
}

/* Writes each certificate with its source; the caller has written the source of the first one. */
static void dump_identities(struct json_writer *w, const struct listener_tls *tls)
{
	/* For manifests the list has all of them. */
	uint32_t offset = tls->source.cert.len ? 1 : 0;

	json_open_array(w, "certificates");
	for (uint32_t i = 0; i < tls->identity_count; i++) {
		json_open_object(w, NULL);
		if (i < offset)
			dump_source(w, &tls->source);
		else if (i - offset < tls->source_count)
			dump_source(w, &tls->source_list[i - offset]);
		certificate_members(w, &tls->identity_list[i]->certificate);
		json_close(w);
	}
	json_close(w);
}

void dump_listener_tls(struct json_writer *w, const char *protocol, const struct listener_tls *tls)
{
	json_open_object(w, "protocol");
	if (!tls) {
		json_null(w, protocol);
		json_close(w);
		return;
	}
	json_open_object(w, protocol);
	dump_rows(w, &listener_tls_schema, tls);
	dump_identities(w, tls);
	if (tls->invalid_reason.len)
		json_string(w, "invalid", tls->invalid_reason);
	json_close(w);
	json_close(w);
}

/* Writes the protocols as bytes, as agentgateway does. */
void dump_frontend_tls(struct json_writer *w, const struct frontend_tls *tls)
{
	struct frontend_tls rest = *tls;

	dump_duration(w, "handshakeTimeout",
		      tls->handshake_timeout.is_set ? tls->handshake_timeout.ns
						    : LIMIT_CLIENT_HELLO_MS * NS_PER_MS);
	if (tls->words.alpn_count)
		json_open_array(w, "alpn");
	else
		json_null(w, "alpn");
	for (uint32_t i = 0; i < tls->words.alpn_count; i++) {
		json_open_array(w, NULL);
		for (size_t at = 0; at < tls->words.alpn_list[i].len; at++)
			json_u64(w, NULL, (unsigned char)tls->words.alpn_list[i].data[at]);
		json_close(w);
	}
	if (tls->words.alpn_count)
		json_close(w);
	rest.handshake_timeout.is_set = false;
	rest.words.alpn_count = 0;
	dump_rows(w, &frontend_tls_schema, &rest);
}

void dump_backend_tls(struct json_writer *w, const struct backend_tls *tls)
{
	dump_rows(w, &backend_tls_schema, tls);
	if (tls->settings.trust && tls->settings.trust->is_system)
		json_bool(w, "systemRoots", true);
	if (tls->settings.identity) {
		json_open_object(w, "certificate");
		certificate_members(w, &tls->settings.identity->certificate);
		json_close(w);
	}
	if (tls->invalid_reason.len)
		json_string(w, "invalid", tls->invalid_reason);
}
