/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/api.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "gen/version.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum {
	CONNECT_MS = 10000,
	KEEPALIVE_S = 30, /* of an idle connection: a server that is gone is noticed */
};

struct api_socket {
	struct list node;
	struct loop_source source;
	struct loop_deferred release;
	struct api *api;
};

static int open_multi(struct api *api);

/* ------------------------------------------------------------------------------------ one request */

void api_request_init(struct api_request *request,
		      bool (*on_data)(struct api_request *request, struct span data),
		      void (*on_end)(struct api_request *request, const struct api_result *result))
{
	*request = (struct api_request){ .on_data = on_data, .on_end = on_end };
	list_init(&request->node);
}

void api_request_stop(struct api_request *request)
{
	if (!request->easy)
		return;
	list_remove(&request->node);
	curl_multi_remove_handle(request->api->multi, request->easy);
	curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->headers);
	request->easy = NULL;
	request->headers = NULL;
	text_done(&request->sent);
	text_done(&request->error_body);
}

static long status_of(const struct api_request *request)
{
	long status = 0;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t on_write(char *data, size_t size, size_t count, void *context)
{
	struct api_request *request = context;
	size_t len = size * count;
	long status = status_of(request);

	if (status / 100 == 2)
		return !request->on_data || request->on_data(request, span_of(data, len))
			       ? len
			       : CURL_WRITEFUNC_ERROR;
	if (request->error_body.len < LIMIT_CLUSTER_ERROR_BYTES)
		text_add(&request->error_body,
			 span_first(span_of(data, len), LIMIT_CLUSTER_ERROR_BYTES - request->error_body.len));
	return len;
}

/* One line of the head; the last one is empty. */
static size_t on_header(char *data, size_t size, size_t count, void *context)
{
	struct api_request *request = context;
	size_t len = size * count;

	if (request->on_head && (len == 0 || data[0] == '\r' || data[0] == '\n') &&
	    status_of(request) / 100 == 2)
		request->on_head(request);
	return len;
}

static bool add_header(struct api_request *request, const char *name, struct span value)
{
	struct curl_slist *list;
	struct text line;

	text_init(&line);
	text_fmt(&line, "%s: %.*s", name, SPAN_FMT(value));
	list = line.failed ? NULL : curl_slist_append(request->headers, line.data);
	if (line.data)
		explicit_bzero(line.data, line.len);
	text_done(&line);
	if (list)
		request->headers = list;
	return list;
}

static int add_token(struct api_request *request)
{
	struct text token;
	int result;

	text_init(&token);
	text_str(&token, "Bearer ");
	result = cluster_access_token(request->api->access, &token);
	if (!result)
		result = add_header(request, "Authorization", text_span(&token)) ? 0 : -ENOMEM;
	if (token.data)
		explicit_bzero(token.data, token.len);
	text_done(&token);
	return result == -ENOENT ? 0 : result;
}

static void set_blob(CURL *easy, CURLoption option, struct span pem)
{
	/* Not copied: the access lives longer. */
	struct curl_blob blob = { (void *)pem.data, pem.len, CURL_BLOB_NOCOPY };

	if (pem.len)
		curl_easy_setopt(easy, option, &blob);
}

static void set_path(CURL *easy, CURLoption option, struct span path)
{
	if (path.len)
		curl_easy_setopt(easy, option, path.data);
}

static void set_tls(CURL *easy, const struct cluster_access *access)
{
	set_blob(easy, CURLOPT_CAINFO_BLOB, access->authority);
	set_path(easy, CURLOPT_CAINFO, access->authority_path);
	/* libcurl would keep what it has read for a day, but Kubernetes replaces the file. */
	curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	set_blob(easy, CURLOPT_SSLCERT_BLOB, access->certificate);
	set_path(easy, CURLOPT_SSLCERT, access->certificate_path);
	set_blob(easy, CURLOPT_SSLKEY_BLOB, access->key);
	set_path(easy, CURLOPT_SSLKEY, access->key_path);
}

static void set_url(struct api_request *request, const char *path)
{
	const struct cluster_access *access = request->api->access;
	struct text url;

	text_init(&url);
	text_fmt(&url, "%.*s%s", SPAN_FMT(access->server), path);
	if (!url.failed)
		curl_easy_setopt(request->easy, CURLOPT_URL, url.data);
	text_done(&url);
}

static void set_body(struct api_request *request, struct span body)
{
	text_add(&request->sent, body);
	curl_easy_setopt(request->easy, CURLOPT_POSTFIELDS, request->sent.data);
	curl_easy_setopt(request->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->sent.len);
}

static void set_options(struct api_request *request, const char *method, uint32_t timeout_ms)
{
	CURL *easy = request->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https,http");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	/* A request waits for the connection that is being made instead of making its own. */
	curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, (long)KEEPALIVE_S);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, (long)KEEPALIVE_S);
	/* For a User-Agent that begins with curl an API server indents its JSON: a line is no object then. */
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "headgate/" HEADGATE_VERSION);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
	set_tls(easy, request->api->access);
}

int api_request_start(struct api *api, struct api_request *request, const char *method, const char *path,
		      const char *type, struct span body, uint32_t timeout_ms)
{
	int result = api->multi ? 0 : open_multi(api);

	if (result)
		return result;
	request->api = api;
	request->easy = curl_easy_init();
	if (!request->easy)
		return -ENOMEM;
	text_init(&request->sent);
	text_init(&request->error_body);
	request->error[0] = '\0';
	list_add_tail(&api->requests, &request->node);
	set_options(request, method, timeout_ms);
	set_url(request, path);
	if (type) {
		set_body(request, body);
		result = add_header(request, "Content-Type", span_str(type)) ? 0 : -ENOMEM;
	}
	if (!result)
		result = add_header(request, "Accept",
				    span_str(request->accept ? request->accept : "application/json"))
				 ? add_token(request)
				 : -ENOMEM;
	if (!result) {
		curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
		result = curl_multi_add_handle(api->multi, request->easy) == CURLM_OK ? 0 : -ENOMEM;
	}
	if (result)
		api_request_stop(request);
	return result;
}

/* ------------------------------------------------------------------------------------ the loop */

enum { RETRY_AFTER_MAX_S = 60 };

static uint32_t retry_after_of(const struct api_request *request)
{
	curl_off_t seconds = 0;

	curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &seconds);
	return seconds <= 0 ? 0 : seconds < RETRY_AFTER_MAX_S ? (uint32_t)seconds : RETRY_AFTER_MAX_S;
}

/* The text of libcurl, the request's own, or the status. */
static void end(struct api_request *request, CURLcode code)
{
	struct text body = request->error_body;
	char error[API_ERROR_BYTES];
	struct api_result result = { .error = error };

	if (code == CURLE_OK) {
		result.status = (uint16_t)status_of(request);
		result.retry_after_s = retry_after_of(request);
	}
	if (code != CURLE_OK)
		snprintf(error, sizeof(error), "%s",
			 *request->error ? request->error : curl_easy_strerror(code));
	else
		snprintf(error, sizeof(error), "status %u", result.status);
	text_init(&request->error_body);
	result.body = text_span(&body);
	api_request_stop(request);
	request->on_end(request, &result);
	text_done(&body);
}

static void take_results(struct api *api)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(api->multi, &left))) {
		struct api_request *request = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &request);
		end(request, message->data.result);
	}
}

static void on_socket_event(struct loop_source *source, uint32_t events)
{
	struct api_socket *socket = container_of(source, struct api_socket, source);
	struct api *api = socket->api;
	int mask = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		   (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0),
	    running;

	curl_multi_socket_action(api->multi, source->fd, mask, &running);
	take_results(api);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
	struct api *api = container_of(timer, struct api, timer);
	int running;

	(void)now_ms;
	curl_multi_socket_action(api->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_results(api);
}

static void socket_release(struct loop_deferred *deferred)
{
	hg_free(container_of(deferred, struct api_socket, release));
}

static struct api_socket *socket_new(struct api *api, curl_socket_t fd)
{
	struct api_socket *socket = hg_calloc(1, sizeof(*socket));

	if (!socket)
		return NULL;
	socket->api = api;
	list_add_tail(&api->sockets, &socket->node);
	loop_source_init(&socket->source, fd, on_socket_event);
	loop_deferred_init(&socket->release, socket_release);
	if (loop_source_add(api->loop, &socket->source, 0) < 0 ||
	    curl_multi_assign(api->multi, fd, socket) != CURLM_OK) {
		loop_source_remove(api->loop, &socket->source);
		list_remove(&socket->node);
		hg_free(socket);
		return NULL;
	}
	return socket;
}

/* What libcurl wants to know about a socket. Returns -1 without memory: libcurl then fails the transfer. */
static int on_interest(CURL *easy, curl_socket_t fd, int what, void *context, void *of_socket)
{
	struct api *api = context;
	struct api_socket *socket = of_socket;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (!socket)
			return 0;
		loop_source_remove(api->loop, &socket->source);
		list_remove(&socket->node);
		loop_defer(api->loop, &socket->release);
		return 0;
	}
	if (!socket)
		socket = socket_new(api, fd);
	if (!socket)
		return -1;
	return loop_source_modify(api->loop, &socket->source,
				  (what & CURL_POLL_IN ? EPOLLIN : 0u) |
					  (what & CURL_POLL_OUT ? EPOLLOUT : 0u)) < 0
		       ? -1
		       : 0;
}

/* libcurl forbids to call it from here. */
static int on_timeout(CURLM *multi, long timeout_ms, void *context)
{
	struct api *api = context;

	(void)multi;
	if (timeout_ms < 0)
		timer_cancel(loop_timers(api->loop), &api->timer);
	else
		timer_arm(loop_timers(api->loop), &api->timer, loop_now_ms(api->loop) + (uint64_t)timeout_ms);
	return 0;
}

static int open_multi(struct api *api)
{
	api->multi = curl_multi_init();
	if (!api->multi)
		return -ENOMEM;
	curl_multi_setopt(api->multi, CURLMOPT_SOCKETFUNCTION, on_interest);
	curl_multi_setopt(api->multi, CURLMOPT_SOCKETDATA, api);
	curl_multi_setopt(api->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(api->multi, CURLMOPT_TIMERDATA, api);
	curl_multi_setopt(api->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
	return 0;
}

/* Closes all connections. No request may be under way. */
static void close_multi(struct api *api)
{
	if (!api->multi)
		return;
	curl_multi_cleanup(api->multi);
	api->multi = NULL;
	timer_cancel(loop_timers(api->loop), &api->timer);
	list_each(node, next, &api->sockets) {
		struct api_socket *socket = list_entry(node, struct api_socket, node);

		loop_source_remove(api->loop, &socket->source);
		list_remove(&socket->node);
		loop_defer(api->loop, &socket->release);
	}
}

int api_start(struct api *api, struct loop *loop, const struct cluster_access *access)
{
	*api = (struct api){ .loop = loop, .access = access };
	list_init(&api->requests);
	list_init(&api->sockets);
	timer_init(&api->timer, on_timer);
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? open_multi(api) : -ENOMEM;
}

void api_reset(struct api *api, const char *error)
{
	const struct api_result result = { .error = error };
	struct list ended;

	list_init(&ended);
	list_each(node, next, &api->requests)
		curl_multi_remove_handle(api->multi, list_entry(node, struct api_request, node)->easy);
	list_splice(&ended, &api->requests);
	close_multi(api);
	/* Without memory: api_request_start() tries again. */
	(void)open_multi(api);
	/* Each runs until its own end: that of another one may look whether it runs, or stop it. */
	while (!list_is_empty(&ended)) {
		struct api_request *request = list_entry(ended.next, struct api_request, node);

		api_request_stop(request);
		request->on_end(request, &result);
	}
}

void api_stop(struct api *api)
{
	if (!api->loop)
		return;
	CHECK(list_is_empty(&api->requests));
	close_multi(api);
	curl_global_cleanup();
	api->loop = NULL;
}
