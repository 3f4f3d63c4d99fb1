/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tls_seal.h"

#include <errno.h>

#include "policy/certificate.h"
#include "user/base/limits.h"
#include "user/base/units.h"
#include "user/http/target.h"

/* RFC 7301 3.1: each name after its length. */
#define ALPN_HTTP "\x02h2\x08http/1.1"

static const struct tls_params no_params;

static void params_complete(struct tls_params *params, const struct tls_params *more)
{
	bool has_ciphers = params->ciphers.len || params->suites.len;

	if (!params->min_version)
		params->min_version = more->min_version;
	if (!params->max_version)
		params->max_version = more->max_version;
	if (!has_ciphers) {
		params->ciphers = more->ciphers;
		params->suites = more->suites;
	}
	if (!params->groups.len)
		params->groups = more->groups;
	if (!params->alpn.len)
		params->alpn = more->alpn;
}

static int settings_complete(struct listener *listener, const struct frontend_tls *frontend,
			     struct config_report *report)
{
	struct tls_server_settings *settings = &listener->tls->settings;
	struct tls_fault fault = { "" };
	int result;

	params_complete(&settings->params, frontend ? &frontend->params : &no_params);
	if (!settings->params.alpn.len && listener->protocol == PROTOCOL_HTTPS)
		settings->params.alpn = SPAN(ALPN_HTTP);
	settings->scope = listener->key;
	result = settings_seal_server(settings, &fault);
	if (result == -ENOMEM)
		return result;
	if (result < 0)
		config_message_at(report, CONFIG_ERROR, listener->where, "tls: %s", fault.text);
	return 0;
}

int tls_seal_listener(struct listener *listener, const struct frontend_tls *frontend, struct arena *arena,
		      struct config_report *report)
{
	struct listener_tls *tls = listener->tls;
	int result;

	if (!tls)
		return 0;
	tls->handshake_timeout_ns = frontend && frontend->handshake_timeout.is_set ?
					    frontend->handshake_timeout.ns :
					    LIMIT_CLIENT_HELLO_MS * NS_PER_MS;
	result = settings_complete(listener, frontend, report);
	return result == 0 ? certificate_names_build(tls, arena) : result;
}

int tls_seal_authority(const struct backend *backend, struct arena *arena, struct span *ret_authority)
{
	struct span plain = backend->authority;
	struct span port = authority_port(plain);
	char *text;

	*ret_authority = plain;
	if (span_eq(port, SPAN("443")))
		*ret_authority = authority_host(plain);
	if (!plain.len || port.len)
		return 0;
	text = arena_bytes(arena, plain.len + 3);
	if (!text)
		return -ENOMEM;
	memcpy(text, plain.data, plain.len);
	memcpy(text + plain.len, ":80", 3);
	*ret_authority = span_of(text, plain.len + 3);
	return 0;
}
