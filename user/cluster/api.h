/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/base/log.h"
#include "user/base/text.h"
#include "user/cluster/access.h"
#include "user/loop/loop.h"

/*
 * Requests to an API server, all over one HTTP/2 connection, in the loop's thread; the only user of libcurl.
 * Where the server speaks only HTTP/1.1, each request that runs has its own connection.
 */
struct api {
	struct loop *loop; /* borrowed */
	const struct cluster_access *access; /* borrowed */
	void *multi; /* owner, CURLM */
	struct timer timer; /* when libcurl wants to be called */
	struct log_rate unreachable; /* of its users: they all meet the same failure */
	struct log_rate reachable;
	struct list requests; /* struct api_request: under way */
	struct list sockets; /* struct api_socket */
};

/* 0 or -ENOMEM. */
int api_start(struct api *api, struct loop *loop, const struct cluster_access *access);
/* No request may be under way. */
void api_stop(struct api *api);
/*
 * Closes all connections: a server that is frozen, or a machine between that has forgotten one, never closes
 * them. All requests end, with that error, and the next ones have a new connection. Not from on_data or
 * on_end.
 */
void api_reset(struct api *api, const char *error);

enum { API_ERROR_BYTES = 256 }; /* CURL_ERROR_SIZE */

struct api_result {
	uint16_t status; /* 0: no response; `error` says why */
	uint32_t retry_after_s; /* of the header Retry-After (RFC 9110 10.2.3); 0: none */
	const char *error; /* for people; never NULL */
	struct span body; /* of a response other than 2xx: its first LIMIT_CLUSTER_ERROR_BYTES */
};

struct api_request {
	struct list node; /* in the api's requests while it is under way */
	struct api *api; /* borrowed */
	/*
	 * Bytes of the body of a 2xx response; NULL: they do not matter. Must not start or stop a request;
	 * false ends this one.
	 */
	bool (*on_data)(struct api_request *request, struct span data);
	/* The end, once. The request may be started again, also from here. */
	void (*on_end)(struct api_request *request, const struct api_result *result);
	/* The head of a 2xx response is complete; may be NULL. As on_data. */
	void (*on_head)(struct api_request *request);
	const char *accept; /* media types; NULL: JSON */
	void *easy; /* owner, CURL */
	void *headers; /* owner, struct curl_slist */
	struct text sent; /* body of the request */
	struct text error_body;
	char error[API_ERROR_BYTES];
};

void api_request_init(struct api_request *request,
		      bool (*on_data)(struct api_request *request, struct span data),
		      void (*on_end)(struct api_request *request, const struct api_result *result));
static inline bool api_request_runs(const struct api_request *request)
{
	return request->easy;
}
/*
 * path: with its query. type: of `body`, NULL: no body. timeout_ms: of the whole exchange, 0: none. 0, or a
 * negative errno: then on_end is not called.
 */
int api_request_start(struct api *api, struct api_request *request, const char *method, const char *path,
		      const char *type, struct span body, uint32_t timeout_ms);
/* Ends it without on_end. Does nothing if it is not under way. Not from on_data. */
void api_request_stop(struct api_request *request);
