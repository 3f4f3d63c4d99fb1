/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/service_writer.h"

#include <errno.h>
#include <stdio.h>

#include "user/cluster/status_patch.h"
#include "user/mcp/json/json_text.h"

enum { REQUEST_MS = 10000, SAY_MS = 10000 };

static void plan(struct service_writer *writer)
{
	struct loop *loop = writer->api->loop;
	uint64_t ms = writer->is_stale ? SERVICE_PAUSE_MS : SERVICE_CHECK_MS;
	uint64_t max_ms = writer->has_failed ? SERVICE_PAUSE_MAX_MS : SERVICE_CHECK_MS;

	for (uint32_t i = 1; i < writer->busy_passes && ms < max_ms; i++)
		ms *= 2;
	if (ms > max_ms)
		ms = max_ms;
	timer_arm(loop_timers(loop), &writer->timer, loop_now_ms(loop) + ms);
}

static void complain(struct service_writer *writer, const char *reason, struct span more)
{
	uint64_t suppressed;

	if (log_rate_pass(&writer->rate, loop_now_ms(writer->api->loop), SAY_MS, &suppressed))
		log_warn("the Service of the Gateway %.*s: %s: %.*s", SPAN_FMT(text_span(&writer->about)),
			 reason, SPAN_FMT(more));
}

/* ------------------------------------------------------------------------------------ requests */

static bool send(struct service_writer *writer, const char *method, const struct text *path, const char *type,
		 const struct text *body)
{
	writer->is_busy = true;
	if (path->failed || body->failed ||
	    api_request_start(writer->api, &writer->request, method, path->data, type, text_span(body),
			      REQUEST_MS) < 0) {
		writer->has_failed = true;
		return false;
	}
	writer->is_stale = true; /* until a pass finds nothing to do */
	return true;
}

/* Server-side apply, without force: what another manager has set otherwise is a conflict that is reported. */
static bool apply(struct service_writer *writer, const char *collection, struct span namespace,
		  struct span name, const struct text *body)
{
	struct text path;
	bool is_sent;

	text_init(&path);
	text_fmt(&path, "/%s/namespaces/%.*s/%s/%.*s?fieldManager=headgate",
		 strcmp(collection, "services") == 0 ? "api/v1" : "apis/discovery.k8s.io/v1",
		 SPAN_FMT(namespace), collection, SPAN_FMT(name));
	is_sent = send(writer, "PATCH", &path, "application/apply-patch+yaml", body);
	text_done(&path);
	return is_sent;
}

static bool delete_service(struct service_writer *writer, const struct stored_object *service)
{
	ptrdiff_t slash = span_find(service->key, '/');
	struct text path, body;
	bool is_sent;

	text_init(&path);
	text_init(&body);
	text_fmt(&path, "/api/v1/namespaces/%.*s/services/%.*s", (int)slash, service->key.data,
		 SPAN_FMT(span_from(service->key, (size_t)slash + 1)));
	text_fmt(&body, "{\"preconditions\":{\"uid\":\"%.*s\"}}",
		 SPAN_FMT(gateway_service_uid(service->text)));
	is_sent = send(writer, "DELETE", &path, "application/json", &body);
	text_done(&body);
	text_done(&path);
	return is_sent;
}

/* ------------------------------------------------------------------------------------ one Gateway */

static const struct stored_object *object_of(const struct service_writer *writer, enum kind_id kind,
					     struct span namespace, struct span name)
{
	const struct stored_object *object;
	struct text key;

	text_init(&key);
	text_fmt(&key, "%.*s/%.*s", SPAN_FMT(namespace), SPAN_FMT(name));
	object = key.failed ? NULL : store_get(writer->store, kind, text_span(&key));
	text_done(&key);
	return object;
}

/* True: a request is under way. */
static bool write_slice(struct service_writer *writer, const struct gateway_service *service,
			const struct stored_object *owner, bool is_v6)
{
	const struct stored_object *stored;
	bool is_sent = false;
	struct text name, body;

	text_init(&name);
	text_init(&body);
	text_fmt(&name, "%s-%s", service->name, is_v6 ? "ipv6" : "ipv4");
	stored = object_of(writer, KIND_ENDPOINT_SLICE, service->namespace, text_span(&name));
	if ((gateway_service_slice(service, gateway_service_uid(owner->text), text_span(&name), is_v6,
				   &body) ||
	     stored) &&
	    !(stored && json_has(stored->text, text_span(&body))))
		is_sent = apply(writer, "endpointslices", service->namespace, text_span(&name), &body);
	text_done(&body);
	text_done(&name);
	return is_sent;
}

static bool write_service(struct service_writer *writer, const struct gateway_service *service)
{
	const struct stored_object *stored =
		object_of(writer, KIND_SERVICE, service->namespace, span_str(service->name));
	bool is_sent = false;
	struct text body;

	if (stored && !gateway_service_is_of(stored->text, service->gateway)) {
		complain(writer, "another Service has its name, rename that or the Gateway",
			 span_str(service->name));
		return false;
	}
	text_init(&body);
	gateway_service_object(service, &body);
	if (!stored || !json_has(stored->text, text_span(&body)))
		is_sent = apply(writer, "services", service->namespace, span_str(service->name), &body);
	text_done(&body);
	/* The slices belong to the Service, which has to be there. */
	return is_sent || (stored && (write_slice(writer, service, stored, false) ||
				      write_slice(writer, service, stored, true)));
}

static bool write_item(struct service_writer *writer, struct span item)
{
	struct span namespace = mcp_json_string(mcp_json_member(item, SPAN("namespace")));
	struct span name = mcp_json_string(mcp_json_member(item, SPAN("name")));
	const struct stored_object *gateway = object_of(writer, KIND_GATEWAY, namespace, name);
	struct gateway_service service;

	if (!gateway || !gateway_service_init(&service, gateway, item, &writer->hosts))
		return false;
	text_clear(&writer->about);
	text_add(&writer->about, gateway->key);
	return write_service(writer, &service);
}

/* ------------------------------------------------------------------------------------ a pass */

static bool is_wanted(const struct service_writer *writer, const struct stored_object *service)
{
	struct mcp_json_walk walk =
		mcp_json_walk_of(mcp_json_member(text_span(&writer->wanted), SPAN("items")));
	ptrdiff_t slash = span_find(service->key, '/');
	struct span namespace = span_first(service->key, slash > 0 ? (size_t)slash : 0), key, item;

	while (mcp_json_next(&walk, &key, &item))
		if (span_eq(mcp_json_string(mcp_json_member(item, SPAN("namespace"))), namespace) &&
		    gateway_service_is_of(service->text,
					  mcp_json_string(mcp_json_member(item, SPAN("name")))))
			return true;
	return false;
}

/* A Service of this program whose Gateway is there, but no longer this program's. */
static bool remove_stray(struct service_writer *writer)
{
	if (!writer->has_strays)
		return false;
	list_each(node, next, &writer->store->objects[KIND_SERVICE]) {
		const struct stored_object *service = list_entry(node, struct stored_object, node);

		if (!gateway_service_is_ours(service->text) || is_wanted(writer, service))
			continue;
		text_clear(&writer->about);
		text_add(&writer->about, service->key);
		return delete_service(writer, service);
	}
	writer->has_strays = false;
	return false;
}

static void find_hosts(struct service_writer *writer)
{
	writer->hosts.count = 0;
	list_each(node, next, &writer->store->objects[KIND_ENDPOINT_SLICE])
		gateway_hosts_add(&writer->hosts, list_entry(node, struct stored_object, node),
				  writer->namespace);
}

/* Goes on until a request is under way. The store may have changed since the last one. */
static void walk(struct service_writer *writer)
{
	struct mcp_json_walk left = { .left = writer->rest };
	bool is_sent = false;
	struct span key, item;

	if (!cluster_lease_is_held(writer->lease))
		writer->is_walking = false;
	if (writer->is_walking)
		find_hosts(writer);
	while (writer->is_walking && !is_sent) {
		writer->is_walking = mcp_json_next(&left, &key, &item);
		writer->rest = left.left;
		is_sent = writer->is_walking ? write_item(writer, item) : remove_stray(writer);
	}
	if (!writer->is_walking && !is_sent)
		plan(writer);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct service_writer *writer = container_of(timer, struct service_writer, timer);

	(void)now_ms;
	writer->is_stale = false;
	/* Without the lease: service_writer_look() when it comes. */
	if (writer->is_walking || api_request_runs(&writer->request) || !writer->wanted.len ||
	    !cluster_lease_is_held(writer->lease))
		return;
	writer->busy_passes = writer->is_busy ? writer->busy_passes + 1 : 0;
	writer->is_busy = writer->has_failed = false;
	writer->is_walking = true;
	writer->rest = mcp_json_walk_of(mcp_json_member(text_span(&writer->wanted), SPAN("items"))).left;
	walk(writer);
}

/* The watch brings the object. */
static void on_end(struct api_request *request, const struct api_result *result)
{
	struct service_writer *writer = container_of(request, struct service_writer, request);

	/* 404: the namespace or the Service is gone. */
	if (result->status / 100 != 2 && result->status != 404) {
		writer->has_failed = true;
		complain(writer, result->error, span_first(result->body, 300));
	}
	walk(writer);
}

/* ------------------------------------------------------------------------------------ life */

void service_writer_init(struct service_writer *writer, struct store *store,
			 const struct cluster_lease *lease)
{
	*writer = (struct service_writer){ .store = store, .lease = lease };
	text_init(&writer->wanted);
	text_init(&writer->about);
	timer_init(&writer->timer, on_timer);
	api_request_init(&writer->request, NULL, on_end);
}

void service_writer_start(struct service_writer *writer, struct api *api)
{
	if (!writer->is_on)
		return;
	writer->api = api;
	plan(writer);
}

void service_writer_stop(struct service_writer *writer)
{
	if (!writer->api)
		return;
	api_request_stop(&writer->request);
	timer_cancel(loop_timers(writer->api->loop), &writer->timer);
	writer->is_walking = false;
	writer->api = NULL;
}

void service_writer_done(struct service_writer *writer)
{
	text_done(&writer->wanted);
	text_done(&writer->about);
}

void service_writer_want(struct service_writer *writer, struct span items)
{
	if (!writer->is_on || span_eq(items, text_span(&writer->wanted)) ||
	    !store_can_read(writer->store, items))
		return;
	text_clear(&writer->wanted);
	text_add(&writer->wanted, items);
	if (writer->wanted.failed)
		text_clear(&writer->wanted);
	writer->is_walking = false; /* the old pass walks over the old text */
	writer->has_strays = true;
	writer->is_busy = writer->has_failed = false;
	writer->is_stale = false; /* a long pause is over */
	service_writer_look(writer);
}

void service_writer_look(struct service_writer *writer)
{
	if (!writer->api || writer->is_stale)
		return;
	writer->is_stale = true;
	if (!writer->is_walking && !api_request_runs(&writer->request))
		plan(writer);
}

struct span service_writer_ingress(const struct service_writer *writer, struct span namespace,
				   struct span name)
{
	const struct stored_object *gateway = object_of(writer, KIND_GATEWAY, namespace, name), *service;
	char service_name[GATEWAY_SERVICE_NAME_BYTES];

	if (!gateway)
		return (struct span){ 0 };
	gateway_service_name(gateway, service_name);
	service = object_of(writer, KIND_SERVICE, namespace, span_str(service_name));
	if (!service || !gateway_service_is_of(service->text, name))
		return (struct span){ 0 };
	return mcp_json_member(mcp_json_member(service->status, SPAN("loadBalancer")), SPAN("ingress"));
}
