/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/endpoints.h"

#include "admin/http/access.h"
#include "admin/http/handlers.h"
#include "admin/http/site.h"
#include "admin/http/ui_handlers.h"

#define GET ENDPOINT_GET
#define POST ENDPOINT_POST

static const struct admin_endpoint {
	enum admin_port port;
	unsigned int methods;
	struct span path;
	void (*handle)(const struct admin_call *call);
	const char *what;
} endpoints[] = {
#define ENDPOINT(port, methods, path, handle, what) { ADMIN_PORT_##port, methods, SPAN(path), handle, what },
#include "admin/http/endpoints.def"
#undef ENDPOINT
};

#undef GET
#undef POST

static const char *methods_text(unsigned int methods)
{
	switch (methods) {
	case ENDPOINT_GET:
		return "GET, HEAD";
	case ENDPOINT_POST:
		return "POST";
	case ENDPOINT_GET | ENDPOINT_POST:
		return "GET, HEAD, POST";
	}
	return "";
}

void endpoints_list(enum admin_port port, struct text *out)
{
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		const struct admin_endpoint *e = &endpoints[i];

		if (e->port == port)
			text_fmt(out, "%-8s %-20.*s %s\n",
				 e->methods == (ENDPOINT_GET | ENDPOINT_POST) ? "GET,POST"
				 : e->methods == ENDPOINT_GET		      ? "GET"
									      : "POST",
				 SPAN_FMT(e->path), e->what);
	}
}

/* Compares segments; '*' matches any segment that is not empty. */
static bool path_fits(struct span pattern, struct span path, struct span *ret_argument)
{
	struct span want, have;
	bool has_want, has_have;

	for (;;) {
		has_want = span_split(&pattern, '/', &want);
		has_have = span_split(&path, '/', &have);
		if (!has_want || !has_have)
			return has_want == has_have;
		if (span_eq(want, SPAN("*")) && have.len > 0)
			*ret_argument = have;
		else if (!span_eq(want, have))
			return false;
	}
}

static bool method_fits(enum http_method method, unsigned int methods)
{
	if (method == METHOD_GET || method == METHOD_HEAD)
		return methods & ENDPOINT_GET;
	return method == METHOD_POST && methods & ENDPOINT_POST;
}

static void answer_not_found(struct admin_conn *conn, enum admin_port port)
{
	struct admin_answer answer = { .status = 404 };

	text_init(&answer.body);
	text_str(&answer.body, "not found; endpoints of this port:\n");
	endpoints_list(port, &answer.body);
	admin_conn_answer(conn, &answer);
}

static void answer_wrong_method(struct admin_conn *conn, const struct admin_endpoint *endpoint)
{
	struct admin_answer answer = { .status = 405, .allow = methods_text(endpoint->methods) };

	text_init(&answer.body);
	text_fmt(&answer.body, "method not allowed: use %s\n", answer.allow);
	admin_conn_answer(conn, &answer);
}

/* Returns true if the request may continue; otherwise it has been answered. */
static bool check_site(enum admin_port port, struct admin_conn *conn, const struct request_head *head)
{
	if (port != ADMIN_PORT_ADMIN)
		return true;
	if (!conn->is_unix && head->authority.len > 0 && !site_host_is_safe(head->authority)) {
		admin_conn_say(conn, 403, "this Host is not served: use localhost or an IP address\n");
		return false;
	}
	if (head->method != METHOD_GET && head->method != METHOD_HEAD && !site_origin_is_safe(head)) {
		admin_conn_say(conn, 403,
			       "requests from pages of other sites are refused (Origin, Sec-Fetch-Site); "
			       "a page of this site must send X-Headgate\n");
		return false;
	}
	return true;
}

/* Only the admin port asks for passwords. */
static void serve_again(void *context, struct admin_conn *conn)
{
	endpoints_serve(context, ADMIN_PORT_ADMIN, conn, &conn->http.head);
}

void endpoints_serve(struct admin *admin, enum admin_port port, struct admin_conn *conn,
		     const struct request_head *head)
{
	struct admin_call call = { admin, admin_hooks_of(admin), conn, head, port, { 0 } };

	if (!check_site(port, conn, head))
		return;
	if (port == ADMIN_PORT_ADMIN &&
	    !access_check(&(struct access_request){ call.hooks, conn, head, serve_again, admin }))
		return;
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		const struct admin_endpoint *endpoint = &endpoints[i];

		if (endpoint->port != port || !path_fits(endpoint->path, head->path, &call.argument))
			continue;
		if (method_fits(head->method, endpoint->methods))
			endpoint->handle(&call);
		else
			answer_wrong_method(conn, endpoint);
		return;
	}
	answer_not_found(conn, port);
}
