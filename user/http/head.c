/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/head.h"

static const struct span method_names[] = {
	[METHOD_GET] = { "GET", 3 },	     [METHOD_HEAD] = { "HEAD", 4 },
	[METHOD_POST] = { "POST", 4 },	     [METHOD_PUT] = { "PUT", 3 },
	[METHOD_DELETE] = { "DELETE", 6 },   [METHOD_CONNECT] = { "CONNECT", 7 },
	[METHOD_OPTIONS] = { "OPTIONS", 7 }, [METHOD_TRACE] = { "TRACE", 5 },
	[METHOD_PATCH] = { "PATCH", 5 },
};

enum http_method method_of(struct span text)
{
	for (enum http_method method = METHOD_GET; method <= METHOD_PATCH; method++) {
		if (span_eq(text, method_names[method]))
			return method;
	}
	return METHOD_OTHER;
}

/* The IANA registry of status codes, RFC 9110 15 and later RFCs. */
static const struct status_name {
	uint16_t status;
	const char *reason;
} status_names[] = {
	{ 100, "Continue" },
	{ 101, "Switching Protocols" },
	{ 102, "Processing" },
	{ 103, "Early Hints" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 203, "Non-Authoritative Information" },
	{ 204, "No Content" },
	{ 205, "Reset Content" },
	{ 206, "Partial Content" },
	{ 207, "Multi-Status" },
	{ 208, "Already Reported" },
	{ 226, "IM Used" },
	{ 300, "Multiple Choices" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 305, "Use Proxy" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 402, "Payment Required" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 407, "Proxy Authentication Required" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 411, "Length Required" },
	{ 412, "Precondition Failed" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 416, "Range Not Satisfiable" },
	{ 417, "Expectation Failed" },
	{ 421, "Misdirected Request" },
	{ 422, "Unprocessable Content" },
	{ 423, "Locked" },
	{ 424, "Failed Dependency" },
	{ 425, "Too Early" },
	{ 426, "Upgrade Required" },
	{ 428, "Precondition Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 451, "Unavailable For Legal Reasons" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
	{ 505, "HTTP Version Not Supported" },
	{ 506, "Variant Also Negotiates" },
	{ 507, "Insufficient Storage" },
	{ 508, "Loop Detected" },
	{ 510, "Not Extended" },
	{ 511, "Network Authentication Required" },
};

struct span status_reason(uint16_t status)
{
	size_t low = 0;
	size_t high = sizeof(status_names) / sizeof(status_names[0]);

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (status_names[middle].status == status)
			return span_str(status_names[middle].reason);
		if (status_names[middle].status < status)
			low = middle + 1;
		else
			high = middle;
	}
	return SPAN("");
}

bool method_is_idempotent(enum http_method method)
{
	switch (method) {
	case METHOD_GET:
	case METHOD_HEAD:
	case METHOD_PUT:
	case METHOD_DELETE:
	case METHOD_OPTIONS:
	case METHOD_TRACE:
		return true;
	case METHOD_POST:
	case METHOD_PATCH:
	case METHOD_CONNECT:
	case METHOD_OTHER:
		break;
	}
	return false;
}
