/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/status_writer.h"

#include <errno.h>
#include <stdio.h>

#include "user/base/clock.h"
#include "user/base/log.h"
#include "user/cluster/status_patch.h"
#include "user/mcp/json/json_text.h"

enum { REQUEST_MS = 10000, SAY_MS = 10000 };

static void walk(struct status_writer *writer);

static void plan_in(struct status_writer *writer, uint64_t ms)
{
	struct loop *loop = writer->api->loop;

	timer_arm(loop_timers(loop), &writer->timer, loop_now_ms(loop) + ms);
}

static void plan(struct status_writer *writer)
{
	uint64_t ms = writer->is_refused ? STATUS_REFUSED_MS : STATUS_PAUSE_MS;

	if (timer_is_armed(&writer->timer))
		return;
	for (uint32_t i = 1; writer->is_bad && i < writer->bad_passes && ms < STATUS_PAUSE_MAX_MS; i++)
		ms *= 2;
	plan_in(writer, ms);
}

/* ------------------------------------------------------------------------------------ one object */

static const struct stored_object *object_of(struct status_writer *writer, struct span item)
{
	struct span metadata = mcp_json_member(item, SPAN("metadata"));
	struct span name = mcp_json_string(mcp_json_member(metadata, SPAN("name")));
	struct span namespace = mcp_json_string(mcp_json_member(metadata, SPAN("namespace")));
	struct span kind = mcp_json_string(mcp_json_member(item, SPAN("kind")));
	const struct stored_object *object = NULL;
	struct text key;

	text_init(&key);
	text_add(&key, namespace);
	if (namespace.len)
		text_char(&key, '/');
	text_add(&key, name);
	for (unsigned i = 0; i < KIND_COUNT && !object; i++)
		if (span_eq(kind, span_str(kind_list[i].name)))
			object = store_get(writer->store, (enum kind_id)i, text_span(&key));
	text_done(&key);
	return object;
}

/* /apis/GROUP/VERSION/namespaces/NAMESPACE/PLURAL/NAME/status */
static void add_path(struct text *path, const struct stored_object *object)
{
	struct span version = mcp_json_string(mcp_json_member(object->text, SPAN("apiVersion")));
	ptrdiff_t slash = span_find(object->key, '/');
	struct span name = span_from(object->key, (size_t)(slash + 1));

	text_fmt(path, "/apis/%.*s/", SPAN_FMT(version));
	if (slash >= 0)
		text_fmt(path, "namespaces/%.*s/", (int)slash, object->key.data);
	text_fmt(path, "%s/%.*s/status", kind_list[object->kind].plural, SPAN_FMT(name));
}

/* Times in a status have no fraction of a second. */
static struct span now_text(char out[CLOCK_RFC3339_BYTES])
{
	clock_rfc3339(clock_wall_us(), out);
	out[19] = 'Z';
	return span_of(out, 20);
}

/* The version that the object gets is not known before the end of the patch. */
static bool is_being_written(const struct status_writer *writer, struct span path)
{
	for (unsigned i = 0; i < STATUS_WRITES; i++) {
		const struct status_write *slot = &writer->writes[i];

		if (api_request_runs(&slot->request) && span_eq(text_span(&slot->path), path))
			return true;
	}
	return false;
}

static void start_patch(struct status_writer *writer, struct status_write *slot, struct span path,
			const struct text *body)
{
	text_clear(&slot->path);
	text_add(&slot->path, path);
	if (body->failed || slot->path.failed ||
	    api_request_start(writer->api, &slot->request, "PATCH", slot->path.data,
			      "application/merge-patch+json", text_span(body), REQUEST_MS) < 0)
		writer->is_stale = true;
}

/* Starts the patch of one object, if it needs one. */
static void write_item(struct status_writer *writer, struct status_write *slot, struct span item)
{
	const struct stored_object *object = object_of(writer, item);
	struct text body, path;
	char now[CLOCK_RFC3339_BYTES];

	if (!object)
		return;
	text_init(&body);
	text_init(&path);
	add_path(&path, object);
	text_fmt(&body,
		 "{\"metadata\":{\"resourceVersion\":\"%.*s\"},\"status\":", SPAN_FMT(object->version));
	if (status_patch(&body, mcp_json_member(item, SPAN("status")), object->status, now_text(now))) {
		text_char(&body, '}');
		if (path.failed || is_being_written(writer, text_span(&path)))
			writer->is_stale = true;
		else
			start_patch(writer, slot, text_span(&path), &body);
	}
	text_done(&path);
	text_done(&body);
}

/* ------------------------------------------------------------------------------------ a pass */

static struct status_write *free_slot(struct status_writer *writer)
{
	for (unsigned i = 0; i < STATUS_WRITES; i++)
		if (!api_request_runs(&writer->writes[i].request))
			return &writer->writes[i];
	return NULL;
}

/* Goes on until all slots are in use, or the lease is lost. */
static void walk(struct status_writer *writer)
{
	struct mcp_json_walk left = { .left = writer->rest };
	struct status_write *slot;
	struct span key, item;

	if (writer->is_walking && !cluster_lease_is_held(writer->lease)) {
		writer->is_walking = false;
		writer->is_stale = true;
	}
	while (writer->is_walking && (slot = free_slot(writer))) {
		writer->is_walking = mcp_json_next(&left, &key, &item);
		writer->rest = left.left;
		if (writer->is_walking)
			write_item(writer, slot, item);
	}
	if (!writer->is_walking && writer->is_stale)
		plan(writer);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct status_writer *writer = container_of(timer, struct status_writer, timer);

	(void)now_ms;
	/* Without the lease: status_writer_look() when it comes. */
	if (writer->is_walking || !writer->is_stale || !writer->wanted.len ||
	    !cluster_lease_is_held(writer->lease))
		return;
	writer->is_stale = false;
	if (!writer->is_bad)
		writer->bad_passes = 0;
	writer->is_bad = writer->is_refused = false;
	writer->is_walking = true;
	writer->rest = mcp_json_walk_of(mcp_json_member(text_span(&writer->wanted), SPAN("items"))).left;
	walk(writer);
}

/* The watch brings the object. */
static void on_end(struct api_request *request, const struct api_result *result)
{
	struct status_write *slot = container_of(request, struct status_write, request);
	struct status_writer *writer = slot->writer;
	uint64_t suppressed;

	if (result->status / 100 == 2) {
		writer->written++;
	} else {
		writer->is_stale = true;
		if (!writer->is_bad)
			writer->bad_passes++;
		writer->is_bad = true;
		/* 404: the object is gone; 409: it has changed. */
		if (result->status != 404 && result->status != 409) {
			writer->failed++;
			writer->is_refused = true;
			if (log_rate_pass(&writer->rate, loop_now_ms(writer->api->loop), SAY_MS, &suppressed))
				log_warn("the API server takes no status: %s: %.*s", result->error,
					 SPAN_FMT(span_first(result->body, 300)));
		}
	}
	walk(writer);
}

/* ------------------------------------------------------------------------------------ life */

void status_writer_init(struct status_writer *writer, struct store *store, const struct cluster_lease *lease)
{
	*writer = (struct status_writer){ .store = store, .lease = lease };
	text_init(&writer->wanted);
	timer_init(&writer->timer, on_timer);
	for (unsigned i = 0; i < STATUS_WRITES; i++) {
		api_request_init(&writer->writes[i].request, NULL, on_end);
		text_init(&writer->writes[i].path);
		writer->writes[i].writer = writer;
	}
}

void status_writer_start(struct status_writer *writer, struct api *api)
{
	writer->api = api;
	if (writer->is_stale)
		plan(writer);
}

void status_writer_stop(struct status_writer *writer)
{
	if (!writer->api)
		return;
	for (unsigned i = 0; i < STATUS_WRITES; i++)
		api_request_stop(&writer->writes[i].request);
	timer_cancel(loop_timers(writer->api->loop), &writer->timer);
	writer->is_walking = false;
	writer->api = NULL;
}

void status_writer_done(struct status_writer *writer)
{
	for (unsigned i = 0; i < STATUS_WRITES; i++)
		text_done(&writer->writes[i].path);
	text_done(&writer->wanted);
}

void status_writer_want(struct status_writer *writer, struct span items)
{
	if (!store_can_read(writer->store, items))
		return;
	text_clear(&writer->wanted);
	text_add(&writer->wanted, items);
	if (writer->wanted.failed)
		text_clear(&writer->wanted);
	writer->is_walking = false; /* the old pass walks over the old text */
	writer->bad_passes = 0;
	writer->is_stale = true;
	if (writer->api)
		plan_in(writer, 0);
}

void status_writer_look(struct status_writer *writer)
{
	writer->is_stale = true;
	if (writer->api && !writer->is_walking)
		plan(writer);
}
