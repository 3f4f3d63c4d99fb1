/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/tls_compile.h"

#include <errno.h>

#include "policy/match/certificate.h"
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
			     struct arena *arena, struct config_report *report)
{
	struct tls_server_settings *settings = &listener->tls->settings;
	struct tls_fault fault = { "" };
	struct span reason;
	int result;

	params_complete(&settings->params, frontend ? &frontend->params : &no_params);
	if (!settings->params.alpn.len && listener->protocol == PROTOCOL_HTTPS)
		settings->params.alpn = SPAN(ALPN_HTTP);
	settings->scope = listener->key;
	result = settings_compile_server(settings, &fault);
	if (result == -ENOMEM)
		return result;
	if (result == 0)
		return 0;
	if (!listener->status) {
		config_message_at(report, CONFIG_ERROR, listener->where, "tls: %s", fault.text);
		return 0;
	}
	config_fault_at(report, listener->where, "tls: %s; handshakes of the listener are refused",
			fault.text);
	reason = arena_copy(arena, span_str(fault.text));
	if (!reason.data)
		return -ENOMEM;
	condition_fail(&listener->status->conditions, CONDITION_PROGRAMMED, "Invalid", reason);
	listener->tls->invalid_reason = reason;
	listener->tls->identity_count = 0;
	return 0;
}

int tls_compile_listener(struct listener *listener, const struct frontend_tls *frontend, struct arena *arena,
			 struct config_report *report)
{
	struct listener_tls *tls = listener->tls;
	int result;

	if (!tls)
		return 0;
	tls->handshake_timeout_ns = frontend && frontend->handshake_timeout.is_set
					    ? frontend->handshake_timeout.ns
					    : LIMIT_CLIENT_HELLO_MS * NS_PER_MS;
	result = settings_complete(listener, frontend, arena, report);
	return result == 0 ? certificate_names_build(tls, arena) : result;
}

int tls_compile_authority(const struct backend *backend, struct arena *arena, struct span *ret_authority)
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

/* Policies of the backend apply, as for any reference. */
static void take_ref(struct fetch_source *source, struct config_report *report)
{
	source->tls = source->ref->tls;
	source->authority = source->ref->authority;
	if (!source->tls)
		config_message_at(report, CONFIG_WARNING, source->ref->where,
				  "keys from %.*s are not protected on their way, and who changes them can "
				  "sign tokens; write a BackendTLSPolicy for it",
				  SPAN_FMT(source->url));
}

void tls_compile_fetches(struct snapshot *snapshot, struct config_report *report)
{
	for (uint32_t i = 0; i < snapshot->fetch_count; i++) {
		struct fetch_source *source = &snapshot->fetch_list[i];
		const struct policy_values *values = &source->backend->inline_policies;

		if (source->ref) {
			take_ref(source, report);
			continue;
		}
		for (uint32_t v = 0; v < values->value_count; v++)
			if (values->value_list[v].kind == POLICY_BACKEND_TLS)
				source->tls = values->value_list[v].object;
		if (source->tls &&
		    tls_compile_authority(source->backend, snapshot->arena, &source->authority) < 0)
			report->failed = true;
	}
}

/* -------------------------------------------------------------------------------- backends */

/* TLS passthrough: attached TLS policies apply only to bytes that are not encrypted yet. */
static bool is_passed_through(const struct tls_place *place)
{
	return place->is_tcp && place->listener->protocol == PROTOCOL_TLS && !place->listener->tls;
}

static bool is_inline(const struct precedence *precedence)
{
	const struct precedence_winner *winner = &precedence->of[POLICY_BACKEND_TLS];

	return winner->object && winner->level >= LEVEL_INLINE_ROUTE;
}

/* The bytes of a TCP listener may already be a client's TLS, like those that pass through. */
static bool is_unprotected(const struct tls_place *place, const struct backend_ref *ref)
{
	return ref->backend->needs_tls && !ref->tls && !(place->is_tcp && !place->listener->tls);
}

/* Only Gateways of manifests have such a certificate. */
static int client_complete(const struct gateway_identity *client, struct backend_ref *ref,
			   struct arena *arena, struct config_report *report)
{
	struct backend_tls *tls = arena_take(arena, sizeof(*tls));
	struct tls_fault fault = { "" };
	int result;

	if (!tls)
		return -ENOMEM;
	*tls = *ref->tls;
	tls->settings.identity = client->identity;
	tls->source.cert = client->source;
	tls->invalid_reason = client->invalid_reason;
	ref->tls = tls;
	result = settings_compile_client(&tls->settings, &fault);
	if (result == -EINVAL) {
		config_fault_at(report, ref->where, "tls: %s; requests for it get status 500", fault.text);
		tls->invalid_reason = arena_copy(arena, span_str(fault.text));
		return tls->invalid_reason.data ? 0 : -ENOMEM;
	}
	return result == -ENOMEM ? result : 0;
}

#define OUT_OF_REACH                                                                                         \
	"backendTLS of a route does not reach the targets of an MCP backend: write it at the backend"

/*
 * The backend is a service of this process; policies of the backend or of its targets apply to its targets.
 */
static void mcp_compile(const struct tls_place *place, struct backend_ref *ref, struct config_report *report)
{
	static const struct backend_tls out_of_reach = {
		.invalid_reason = { OUT_OF_REACH, sizeof(OUT_OF_REACH) - 1 },
	};
	const struct precedence_winner *own = &place->own->of[POLICY_BACKEND_TLS];

	if (own->object == ref->tls && own->level < LEVEL_INLINE_REF) {
		ref->tls = NULL;
		return;
	}
	ref->tls = &out_of_reach;
	config_message_at(report, CONFIG_WARNING, ref->where, OUT_OF_REACH "; until then it answers 500");
}

#define NO_POLICY                                                                                            \
	"the Service asks for TLS (appProtocol), and no policy configures it: write a BackendTLSPolicy"

int tls_compile_ref(const struct tls_place *place, struct backend_ref *ref, struct arena *arena,
		    struct config_report *report)
{
	static const struct backend_tls unprotected = {
		.invalid_reason = { NO_POLICY, sizeof(NO_POLICY) - 1 },
	};
	const struct gateway_identity *client = place->listener ? place->listener->client : NULL;

	ref->tls = precedence_stronger(place->outer, place->own, POLICY_BACKEND_TLS);
	if (is_passed_through(place) && !is_inline(place->outer) && !is_inline(place->own))
		ref->tls = NULL;
	if (is_unprotected(place, ref)) {
		ref->tls = &unprotected;
		config_message_at(report, CONFIG_WARNING, ref->where,
				  "%.*s cannot be used: %s; requests for it get status 500",
				  SPAN_FMT(ref->backend->target), NO_POLICY);
	}
	ref->authority = ref->backend->authority;
	if (ref->tls && ref->backend->mcp) {
		mcp_compile(place, ref, report);
		return 0;
	}
	if (!ref->tls)
		return 0;
	if (tls_compile_authority(ref->backend, arena, &ref->authority) < 0)
		return -ENOMEM;
	if (ref->tls->invalid_reason.len || ref->tls->settings.identity || !client)
		return 0;
	return client_complete(client, ref, arena, report);
}
