/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/definition.h"

#include "user/base/limits.h"
#include "user/mcp/json/json_text.h"

enum { REQUEST_MS = 10000, VERSION_BYTES = 63 };

#define PATH "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gateways.gateway.networking.k8s.io"

static void plan(struct cluster_definition *definition)
{
	struct loop *loop = definition->api->loop;

	timer_arm(loop_timers(loop), &definition->timer, loop_now_ms(loop) + DEFINITION_MS);
}

void cluster_definition_look(struct cluster_definition *definition)
{
	if (!definition->api || api_request_runs(&definition->request))
		return;
	text_clear(&definition->body);
	if (api_request_start(definition->api, &definition->request, "GET", PATH, NULL, (struct span){ 0 },
			      REQUEST_MS) < 0)
		plan(definition);
}

/* Without the lease: cluster_definition_look() when it comes. */
static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct cluster_definition *definition = container_of(timer, struct cluster_definition, timer);

	(void)now_ms;
	if (cluster_lease_is_held(definition->lease))
		cluster_definition_look(definition);
}

static bool on_data(struct api_request *request, struct span data)
{
	struct cluster_definition *definition = container_of(request, struct cluster_definition, request);

	text_add(&definition->body, data);
	return definition->body.len <= LIMIT_CLUSTER_OBJECT_BYTES;
}

static void take(struct cluster_definition *definition, struct span object)
{
	struct span annotations =
		mcp_json_member(mcp_json_member(object, SPAN("metadata")), SPAN("annotations"));
	struct span version = mcp_json_string(
		mcp_json_member(annotations, SPAN("gateway.networking.k8s.io/bundle-version")));
	struct span channel =
		mcp_json_string(mcp_json_member(annotations, SPAN("gateway.networking.k8s.io/channel")));
	bool is_experimental = span_eq(channel, SPAN("experimental"));

	version = span_first(version, version.len < VERSION_BYTES ? version.len : VERSION_BYTES);
	definition->is_refused = false;
	if (definition->is_known && span_eq(version, text_span(&definition->version)) &&
	    definition->is_experimental == is_experimental)
		return;
	definition->is_experimental = is_experimental;
	text_clear(&definition->version);
	text_add(&definition->version, version);
	definition->is_known = !definition->version.failed;
	if (definition->is_known)
		definition->on_change(definition);
}

/* What is known stays: a server without an answer has not changed its definitions. */
static void on_end(struct api_request *request, const struct api_result *result)
{
	struct cluster_definition *definition = container_of(request, struct cluster_definition, request);
	struct span object = text_span(&definition->body);

	plan(definition);
	if (result->status == 200 && store_can_read(definition->store, object)) {
		take(definition, object);
	} else if ((result->status == 401 || result->status == 403) && !definition->is_refused) {
		definition->is_refused = true;
		log_warn("API server: the version of Gateway API cannot be read (%s), so that GatewayClasses "
			 "get no condition SupportedVersion; allow get of the customresourcedefinition "
			 "gateways.gateway.networking.k8s.io",
			 result->error);
	}
	text_clear(&definition->body);
}

void cluster_definition_init(struct cluster_definition *definition, struct store *store,
			     const struct cluster_lease *lease)
{
	*definition = (struct cluster_definition){ .store = store, .lease = lease };
	api_request_init(&definition->request, on_data, on_end);
	/* The definition itself is large; a server that does not know this form sends all of it. */
	definition->request.accept =
		"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json";
	timer_init(&definition->timer, on_timer);
	text_init(&definition->body);
	text_init(&definition->version);
}

void cluster_definition_start(struct cluster_definition *definition, struct api *api)
{
	definition->api = api;
}

void cluster_definition_stop(struct cluster_definition *definition)
{
	if (!definition->api)
		return;
	api_request_stop(&definition->request);
	timer_cancel(loop_timers(definition->api->loop), &definition->timer);
	definition->api = NULL;
}

void cluster_definition_done(struct cluster_definition *definition)
{
	text_done(&definition->body);
	text_done(&definition->version);
}
