/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/lib/test.h"
#include "user/base/log.h"
#include "user/cluster/api.h"
#include "user/cluster/store.h"

/* A client of an API server without one: its requests start in a loop that never runs. */
struct api_rig {
	struct loop *loop;
	struct cluster_access access;
	struct api api;
	struct store store;
};

static inline void api_rig_open(struct api_rig *rig)
{
	log_set_level(LOG_ERROR);
	rig->loop = loop_create(16);
	cluster_access_init(&rig->access);
	rig->access.server = SPAN("https://127.0.0.1:1");
	assert_int_equal(store_init(&rig->store), 0);
	assert_int_equal(api_start(&rig->api, rig->loop, &rig->access), 0);
}

static inline void api_rig_close(struct api_rig *rig)
{
	api_stop(&rig->api);
	store_done(&rig->store);
	cluster_access_done(&rig->access);
	loop_free(rig->loop);
}

/* Ends a request that runs, as the API does it. */
static inline void api_rig_end(struct api_request *request, const struct api_result *result)
{
	assert_true(api_request_runs(request));
	api_request_stop(request);
	request->on_end(request, result);
}
