/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gateway_tls.h"

#include "config/gatewayapi/credential.h"
#include "config/gatewayapi/status.h"
#include "user/base/check.h"

#define REFUSED "handshakes of the listener are refused"

enum {
	CERTIFICATES_MAX = 64, /* per listener, as in the CRD */
	PORTS_MAX = 64,
};

/* -------------------------------------------------------------------------------- clients of the Gateway */

static void validation_refs(struct manifests *m, const struct manifest_object *gateway,
			    const struct yaml_node *node, struct client_validation *ret)
{
	const struct credential_place place = {
		.from = gateway,
		.invalid = "InvalidCACertificateRef",
		.invalid_kind = "InvalidCACertificateKind",
		.effect = "handshakes of the listeners that are to verify clients with it are refused",
	};
	const struct yaml_node *list = decode_need(m->decoder, node, "caCertificateRefs",
						   "write the ConfigMaps that have the authorities");

	if (decode_list(m->decoder, list))
		ret->trust = credential_trust(m, list, &place, &ret->source, &ret->invalid_ref);
	if (!ret->trust && !ret->invalid_ref.len)
		ret->invalid_ref = SPAN("InvalidCACertificateRef: there is none");
	if (!ret->trust)
		ret->invalid_reason =
			decode_text(m->decoder, "NoValidCACertificate: %.*s", SPAN_FMT(ret->invalid_ref));
}

/* `validation`, or the older `frontendValidation` of a listener. */
static void decode_validation(struct manifests *m, const struct manifest_object *gateway,
			      const struct yaml_node *node, struct client_validation *ret)
{
	static const struct decode_key keys[] = { KEY("caCertificateRefs"), KEY("mode") };
	static const char *const modes[] = { "AllowValidOnly", "AllowInsecureFallback" };
	struct decoder *d = m->decoder;
	unsigned mode = 0;

	if (!DECODE_MAP(d, node, keys))
		return;
	ret->is_asked = true;
	DECODE_WORD(d, decode_get(node, "mode"), modes, &mode);
	ret->auth = mode ? TLS_CLIENT_UNVERIFIED : TLS_CLIENT_REQUIRED;
	if (mode) {
		config_warning(d->report, decode_get(node, "mode"),
			       "InsecureFrontendValidationMode: clients without a certificate, or with one "
			       "that does not verify, are served, too; write AllowValidOnly to refuse them");
		condition_hold(&gateway->status->conditions, CONDITION_INSECURE_FRONTEND,
			       "ConfigurationChanged",
			       SPAN("AllowInsecureFallback: clients without a certificate, or with one that "
				    "does not verify, are served, too"));
	}
	validation_refs(m, gateway, node, ret);
}

/* {validation: ...} */
static void decode_config(struct manifests *m, const struct manifest_object *gateway,
			  const struct yaml_node *node, struct client_validation *ret)
{
	static const struct decode_key keys[] = { KEY("validation") };

	if (DECODE_MAP(m->decoder, node, keys))
		decode_validation(m, gateway, decode_get(node, "validation"), ret);
}

static void decode_ports(struct manifests *m, const struct manifest_object *gateway,
			 const struct yaml_node *list, struct gateway_tls *ret)
{
	static const struct decode_key keys[] = { KEY("port"), KEY("tls") };
	struct decoder *d = m->decoder;

	yaml_each(node, list) {
		struct client_validation *one = &ret->validation_list[ret->validation_count];

		if (!DECODE_MAP(d, node, keys) ||
		    !decode_port(d, decode_need(d, node, "port", "write the port it is for"), &one->port))
			continue;
		for (uint32_t i = 0; i < ret->validation_count; i++)
			if (ret->validation_list[i].port == one->port)
				config_error(d->report, node, "port %u is there twice", one->port);
		decode_config(
			m, gateway,
			decode_need(d, node, "tls", "write tls: {validation: {caCertificateRefs: [...]}}"),
			one);
		ret->validation_count++;
	}
}

static void decode_frontend(struct manifests *m, const struct manifest_object *gateway,
			    const struct yaml_node *node, struct gateway_tls *ret)
{
	static const struct decode_key keys[] = { KEY("default"), KEY("perPort") };
	struct decoder *d = m->decoder;
	const struct yaml_node *ports;

	if (!DECODE_MAP(d, node, keys))
		return;
	ports = decode_get(node, "perPort");
	if (ports && !decode_list(d, ports))
		return;
	if (ports && ports->count > PORTS_MAX) {
		config_error(d->report, ports, "has more than %d ports", PORTS_MAX);
		return;
	}
	ret->validation_list = decode_take(d, 1 + (ports ? ports->count : 0), sizeof(*ret->validation_list));
	if (!ret->validation_list)
		return;
	ret->validation_count = 1;
	decode_config(m, gateway, decode_get(node, "default"), &ret->validation_list[0]);
	if (ports)
		decode_ports(m, gateway, ports, ret);
}

/* -------------------------------------------------------------------------------- the Gateway as a client */

static void decode_backend(struct manifests *m, const struct manifest_object *gateway,
			   const struct yaml_node *node, struct gateway_tls *ret)
{
	static const struct decode_key keys[] = { KEY("clientCertificateRef") };
	const struct credential_place place = {
		.from = gateway,
		.invalid = "InvalidClientCertificateRef",
		.invalid_kind = "InvalidClientCertificateRef",
		.effect = "requests of this Gateway to backends over TLS get status 500",
	};
	const struct yaml_node *ref;
	struct gateway_identity *identity;

	if (!DECODE_MAP(m->decoder, node, keys))
		return;
	ref = decode_get(node, "clientCertificateRef");
	identity = ref ? decode_take(m->decoder, 1, sizeof(*identity)) : NULL;
	if (!identity)
		return;
	identity->identity =
		credential_identity(m, ref, &place, &identity->source, &identity->invalid_reason);
	if (identity->invalid_reason.len)
		status_fail_text(m->decoder, &gateway->status->conditions, CONDITION_RESOLVED_REFS,
				 identity->invalid_reason, place.invalid);
	ret->identity = identity;
}

void gateway_tls_decode(struct manifests *m, const struct manifest_object *gateway, struct gateway_tls *ret)
{
	static const struct decode_key keys[] = { KEY("frontend"), KEY("backend") };
	const struct yaml_node *node = decode_get(gateway->spec, "tls"),
			       *older = decode_get(gateway->spec, "backendTLS");

	*ret = (struct gateway_tls){ 0 };
	decode_backend(m, gateway, older, ret);
	if (!DECODE_MAP(m->decoder, node, keys))
		return;
	decode_frontend(m, gateway, decode_get(node, "frontend"), ret);
	decode_backend(m, gateway, decode_get(node, "backend"), ret);
}

/* -------------------------------------------------------------------------------- listeners */

static void set_invalid(struct listener_tls *tls, struct span why)
{
	if (!tls->invalid_reason.len)
		tls->invalid_reason = why;
}

static void decode_certificates(struct manifests *m, const struct gateway_tls_listener *listener,
				const struct yaml_node *list, struct listener_tls *tls)
{
	const struct credential_place place = {
		.from = listener->gateway,
		.invalid = "InvalidCertificateRef",
		.invalid_kind = "InvalidCertificateRef",
		.effect = list->count > 1 ? "the listener has no such certificate" : REFUSED,
	};
	const struct tls_identity **identities = decode_take(m->decoder, list->count, sizeof(*identities));
	struct span why = { 0 };

	tls->source_list = decode_take(m->decoder, list->count, sizeof(*tls->source_list));
	if (!identities || !tls->source_list)
		return;
	yaml_each(node, list) {
		struct certificate_source *source = &tls->source_list[tls->source_count];
		const struct tls_identity *identity =
			credential_identity(m, node, &place, &source->cert, &why);

		if (!identity) {
			status_fail_text(m->decoder, listener->conditions, CONDITION_RESOLVED_REFS, why,
					 place.invalid);
			continue;
		}
		identities[tls->identity_count++] = identity;
		tls->source_count++;
	}
	tls->identity_list = identities;
	if (!tls->identity_count)
		set_invalid(tls, why);
}

/*
 * Options for other programs have no effect; options for other sources of certificates or another
 * verification make the listener invalid.
 */
static void check_options(struct manifests *m, const struct gateway_tls_listener *listener,
			  const struct yaml_node *options, struct listener_tls *tls)
{
	static const char *const words[] = { "certificate-source", "terminate-mode", "verify" };
	struct decoder *d = m->decoder;

	if (!decode_any_map(d, options))
		return;
	yaml_each(option, options) {
		bool is_needed = false;

		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			is_needed |=
				memmem(option->key.data, option->key.len, words[i], strlen(words[i])) != NULL;
		config_warning(d->report, option, "this gateway does not know the option %s; %s",
			       QUOTE(option->key),
			       is_needed ? REFUSED ": write certificateRefs instead, and remove it"
					 : "it has no effect: remove it");
		if (!is_needed)
			continue;
		set_invalid(tls,
			    decode_text(d, "Invalid: the option %s is not supported", QUOTE(option->key)));
		condition_fail(listener->conditions, CONDITION_ACCEPTED, "UnsupportedValue",
			       tls->invalid_reason);
	}
}

/* A port's own validation replaces the default. */
static const struct client_validation *validation_of(const struct gateway_tls *gateway, uint16_t port)
{
	const struct client_validation *found = NULL;

	for (uint32_t i = 0; i < gateway->validation_count; i++)
		if (gateway->validation_list[i].port == port || (!found && !gateway->validation_list[i].port))
			found = &gateway->validation_list[i];
	return found;
}

static void set_clients(struct manifests *m, const struct gateway_tls_listener *listener,
			struct listener_tls *tls, const struct client_validation *validation)
{
	if (!validation || !validation->is_asked)
		return;
	if (validation->invalid_ref.len)
		status_fail_text(m->decoder, listener->conditions, CONDITION_RESOLVED_REFS,
				 validation->invalid_ref, "InvalidCACertificateRef");
	if (!validation->trust) {
		set_invalid(tls, validation->invalid_reason);
		status_fail_text(m->decoder, listener->conditions, CONDITION_ACCEPTED,
				 validation->invalid_reason, "NoValidCACertificate");
		return;
	}
	tls->settings.client_auth = validation->auth;
	tls->settings.client_trust = validation->trust;
	tls->root_source = validation->source;
}

static void decode_listener_tls(struct manifests *m, const struct gateway_tls_listener *listener,
				const struct yaml_node *node, const struct gateway_tls *gateway,
				struct listener_tls *tls)
{
	const struct yaml_node *list = decode_get(node, "certificateRefs"),
			       *older = decode_get(node, "frontendValidation");
	struct client_validation own = { 0 };
	struct decoder *d = m->decoder;

	check_options(m, listener, decode_get(node, "options"), tls);
	if (list && decode_list(d, list) && list->count > CERTIFICATES_MAX)
		config_error(d->report, list, "has more than %d certificates", CERTIFICATES_MAX);
	else if (list && list->kind == YAML_LIST && list->count)
		decode_certificates(m, listener, list, tls);
	if (older)
		decode_validation(m, listener->gateway, older, &own);
	set_clients(m, listener, tls, older ? &own : validation_of(gateway, listener->port));
	if (tls->identity_count || tls->invalid_reason.len)
		return;
	config_warning(d->report, node ? node : listener->node,
		       "InvalidCertificateRef: there is no certificate; " REFUSED
		       ": write tls: {certificateRefs: [{name: the name of a Secret}]}");
	set_invalid(tls, SPAN("InvalidCertificateRef: there is no certificate"));
	status_fail_text(m->decoder, listener->conditions, CONDITION_RESOLVED_REFS, tls->invalid_reason,
			 "InvalidCertificateRef");
}

struct listener_tls *gateway_tls_listener(struct manifests *m, const struct gateway_tls_listener *listener,
					  const struct gateway_tls *gateway)
{
	static const struct decode_key keys[] = {
		KEY("mode"),
		KEY("certificateRefs"),
		KEY("frontendValidation"),
		KEY("options"),
	};
	const struct yaml_node *node = decode_get(listener->node, "tls");
	struct listener_tls *tls = decode_take(m->decoder, 1, sizeof(*tls));

	if (!tls || (node && !DECODE_MAP(m->decoder, node, keys)))
		return tls;
	decode_listener_tls(m, listener, node, gateway, tls);
	if (tls->invalid_reason.len) {
		tls->identity_count = 0;
		tls->source_count = 0;
		tls->settings.client_auth = TLS_CLIENT_NOT_ASKED;
		tls->settings.client_trust = NULL;
		condition_fail(listener->conditions, CONDITION_PROGRAMMED, "Invalid", tls->invalid_reason);
	}
	return tls;
}
