/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/lease.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/base/json_writer.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/mcp/json/json_text.h"

enum { REQUEST_MS = 4000 };

bool cluster_lease_is_held(const struct cluster_lease *lease)
{
	return lease->api && loop_now_ms(lease->api->loop) < lease->held_until_ms;
}

static uint64_t now_ms(const struct cluster_lease *lease)
{
	return loop_now_ms(lease->api->loop);
}

static void look_again(struct cluster_lease *lease)
{
	timer_arm(loop_timers(lease->api->loop), &lease->timer, now_ms(lease) + LEASE_RENEW_MS);
}

/* Logs a problem once, until it changes. */
static void tell(struct cluster_lease *lease, const char *problem)
{
	if (strncmp(lease->told, problem, sizeof(lease->told) - 1) != 0)
		log_warn("the lease for writing statuses: %s; other gateways may write them", problem);
	snprintf(lease->told, sizeof(lease->told), "%s", problem);
}

/* ------------------------------------------------------------------------------------ the object */

/* A MicroTime: RFC 3339 with six digits. */
static void add_time(struct json_writer *w, const char *key)
{
	char text[CLOCK_RFC3339_BYTES];

	clock_rfc3339(clock_wall_us(), text);
	json_str(w, key, text);
}

/* version: of the object that is replaced; empty: it is new. */
static void write_object(const struct cluster_lease *lease, struct span version, struct text *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open_object(&w, NULL);
	json_str(&w, "apiVersion", "coordination.k8s.io/v1");
	json_str(&w, "kind", "Lease");
	json_open_object(&w, "metadata");
	json_str(&w, "name", "headgate");
	if (version.len)
		json_string(&w, "resourceVersion", version);
	json_close(&w);
	json_open_object(&w, "spec");
	json_str(&w, "holderIdentity", lease->holder);
	json_u64(&w, "leaseDurationSeconds", LEASE_S);
	add_time(&w, "renewTime");
	json_close(&w);
	json_close(&w);
}

static int send(struct cluster_lease *lease, const char *method, const char *name, struct span body)
{
	struct text path;
	int error;

	text_init(&path);
	text_fmt(&path, "%.*s%s", SPAN_FMT(text_span(&lease->path)), name);
	error = text_error(&path);
	text_clear(&lease->body);
	lease->asked_ms = now_ms(lease);
	if (!error)
		error = api_request_start(lease->api, &lease->request, method, path.data,
					  body.len ? "application/json" : NULL, body, REQUEST_MS);
	text_done(&path);
	return error;
}

static void put(struct cluster_lease *lease, struct span version)
{
	struct text body;

	text_init(&body);
	write_object(lease, version, &body);
	lease->is_writing = true;
	if (body.failed ||
	    send(lease, version.len ? "PUT" : "POST", version.len ? "/headgate" : "", text_span(&body)) < 0)
		look_again(lease);
	text_done(&body);
}

static void look(struct cluster_lease *lease)
{
	lease->is_writing = false;
	if (send(lease, "GET", "/headgate", (struct span){ 0 }) < 0)
		look_again(lease);
}

/* ------------------------------------------------------------------------------------ decisions */

/* True if the lease may be taken: it is ours, nobody's, or its holder is silent. */
static bool is_free(struct cluster_lease *lease, struct span spec)
{
	struct span holder = mcp_json_string(mcp_json_member(spec, SPAN("holderIdentity")));
	struct span renewed = mcp_json_string(mcp_json_member(spec, SPAN("renewTime")));

	if (!holder.len || span_eq(holder, span_str(lease->holder)))
		return true;
	if (!span_eq(renewed, text_span(&lease->seen))) {
		text_clear(&lease->seen);
		text_add(&lease->seen, renewed);
		lease->seen_ms = now_ms(lease);
	}
	return now_ms(lease) - lease->seen_ms >= (uint64_t)LEASE_S * 1000;
}

static void take_object(struct cluster_lease *lease)
{
	struct span object = text_span(&lease->body);
	struct span metadata = mcp_json_member(object, SPAN("metadata"));
	struct span version = mcp_json_string(mcp_json_member(metadata, SPAN("resourceVersion")));

	if (version.len && is_free(lease, mcp_json_member(object, SPAN("spec"))))
		put(lease, version);
	else
		look_again(lease);
}

/* The checker of the store is not at hand here, and one object every five seconds is no load. */
static bool can_read(struct span text)
{
	struct mcp_json_checker *checker = mcp_json_checker_create();
	bool is_good = checker && mcp_json_check(checker, text) == 0;

	mcp_json_checker_free(checker);
	return is_good;
}

static void take(struct cluster_lease *lease)
{
	bool was_held = cluster_lease_is_held(lease);

	lease->held_until_ms = lease->asked_ms + (uint64_t)LEASE_S * 1000 - LEASE_RENEW_MS;
	if (was_held)
		return;
	log_info("this gateway writes the status of the objects: it holds the lease");
	lease->on_held(lease);
}

static void on_end(struct api_request *request, const struct api_result *result)
{
	struct cluster_lease *lease = container_of(request, struct cluster_lease, request);

	if (!lease->is_writing && result->status == 200 && can_read(text_span(&lease->body))) {
		take_object(lease);
	} else if (!lease->is_writing && result->status == 404) {
		put(lease, (struct span){ 0 });
	} else if (lease->is_writing && result->status / 100 == 2) {
		take(lease);
		lease->told[0] = '\0';
		look_again(lease);
	} else {
		/* 409: another one was faster. */
		if (result->status != 409)
			tell(lease, result->error);
		look_again(lease);
	}
}

static bool on_data(struct api_request *request, struct span data)
{
	struct cluster_lease *lease = container_of(request, struct cluster_lease, request);

	text_add(&lease->body, data);
	return lease->body.len <= LIMIT_CLUSTER_ERROR_BYTES;
}

static void on_timer(struct timer *timer, uint64_t now)
{
	(void)now;
	look(container_of(timer, struct cluster_lease, timer));
}

/* ------------------------------------------------------------------------------------ life */

void cluster_lease_init(struct cluster_lease *lease)
{
	uint32_t random = 0;
	char host[65] = "";

	*lease = (struct cluster_lease){ 0 };
	api_request_init(&lease->request, on_data, on_end);
	timer_init(&lease->timer, on_timer);
	text_init(&lease->body);
	text_init(&lease->path);
	text_init(&lease->seen);
	gethostname(host, sizeof(host) - 1);
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)getpid();
	snprintf(lease->holder, sizeof(lease->holder), "%s-%08x", host, random);
}

void cluster_lease_start(struct cluster_lease *lease, struct api *api, struct span namespace)
{
	lease->api = api;
	text_clear(&lease->path);
	text_fmt(&lease->path, "/apis/coordination.k8s.io/v1/namespaces/%.*s/leases", SPAN_FMT(namespace));
	look(lease);
}

void cluster_lease_stop(struct cluster_lease *lease)
{
	if (!lease->api)
		return;
	api_request_stop(&lease->request);
	timer_cancel(loop_timers(lease->api->loop), &lease->timer);
	lease->api = NULL;
}

void cluster_lease_done(struct cluster_lease *lease)
{
	text_done(&lease->body);
	text_done(&lease->path);
	text_done(&lease->seen);
}
