/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/fields.h"

/* A parsed message head, of HTTP/1 or HTTP/2. Spans point into memory that the owner of the head keeps. */

enum http_method {
	METHOD_OTHER,
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_PUT,
	METHOD_DELETE,
	METHOD_CONNECT,
	METHOD_OPTIONS,
	METHOD_TRACE,
	METHOD_PATCH,
};

bool method_is_idempotent(enum http_method method); /* RFC 9110 9.2.2 */

struct request_head {
	enum http_method method;
	struct span method_text;
	struct span target; /* as received */
	struct span path; /* "/a/b", of origin-form or absolute-form; "*" for OPTIONS *; empty for CONNECT */
	struct span query; /* without '?'; has_query distinguishes "/a?" from "/a" */
	bool has_query;
	bool is_secure; /* came over TLS that the gateway terminated */
	struct span authority; /* Host, or the authority of an absolute-form target, RFC 9112 3.2.2 */
	uint8_t version_minor; /* HTTP/1.x; 0 for HTTP/2 */
	uint8_t version_major;
	struct fields fields;
};

struct response_head {
	uint16_t status; /* 100..599 */
	struct span reason;
	uint8_t version_minor;
	uint8_t version_major;
	struct fields fields;
};

enum http_method method_of(struct span text);
/* The canonical reason phrase ("Service Unavailable"), or empty for a code without one. */
struct span status_reason(uint16_t status);
