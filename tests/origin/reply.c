/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/reply.h"
#include "tests/origin/worker.h"

#include <string.h>
#include <time.h>

static const struct reason {
	unsigned status;
	const char *text;
} reasons[] = {
	{ 100, "Continue" },
	{ 101, "Switching Protocols" },
	{ 102, "Processing" },
	{ 103, "Early Hints" },
	{ 200, "OK" },
	{ 201, "Created" },
	{ 202, "Accepted" },
	{ 204, "No Content" },
	{ 205, "Reset Content" },
	{ 206, "Partial Content" },
	{ 301, "Moved Permanently" },
	{ 302, "Found" },
	{ 303, "See Other" },
	{ 304, "Not Modified" },
	{ 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },
	{ 409, "Conflict" },
	{ 410, "Gone" },
	{ 413, "Content Too Large" },
	{ 414, "URI Too Long" },
	{ 415, "Unsupported Media Type" },
	{ 417, "Expectation Failed" },
	{ 418, "I'm a teapot" },
	{ 425, "Too Early" },
	{ 426, "Upgrade Required" },
	{ 429, "Too Many Requests" },
	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },
	{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },
};

const char *reply_reason(unsigned status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "Custom";
}

void reply_status_line(struct conn *conn, unsigned status)
{
	struct buffer *out = &conn->out;

	if (status == 200)
		buffer_add(out, "HTTP/1.1 200 OK\r\n", 17);
	else
		buffer_printf(out, "HTTP/1.1 %03u %s\r\n", status, reply_reason(status));
}

static void date_field(struct conn *conn)
{
	struct worker *worker = conn->worker;
	time_t now = time(NULL);
	struct tm calendar;

	if (worker->date_s != (uint64_t)now) {
		worker->date_s = (uint64_t)now;
		gmtime_r(&now, &calendar);
		strftime(worker->date, sizeof(worker->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
			 &calendar);
	}
	buffer_puts(&conn->out, worker->date);
}

static void connection_fields(struct conn *conn)
{
	const struct exchange *exchange = &conn->exchange;
	const struct options *options = conn->worker->options;

	if (!exchange->is_kept) {
		buffer_puts(&conn->out, "Connection: close\r\n");
		return;
	}
	if (exchange->request.minor == 0)
		buffer_puts(&conn->out, "Connection: keep-alive\r\n");
	if (options->keep_alive_s > 0)
		buffer_printf(&conn->out, "Keep-Alive: timeout=%llu\r\n",
			      (unsigned long long)options->keep_alive_s);
}

void reply_head(struct conn *conn, unsigned status, const char *type, uint64_t length)
{
	struct exchange *exchange = &conn->exchange;
	const struct options *options = conn->worker->options;
	struct buffer *out = &conn->out;

	if (length == REPLY_CHUNKED && exchange->request.minor == 0)
		length = REPLY_UNTIL_CLOSE;
	if (length == REPLY_UNTIL_CLOSE)
		exchange->is_kept = false;
	exchange->is_chunked = length == REPLY_CHUNKED && reply_has_body(conn, status);
	reply_status_line(conn, status);
	if (options->has_date)
		date_field(conn);
	if (options->name)
		reply_field(conn, "x-origin", (struct text){ options->name, strlen(options->name) });
	if (type) {
		buffer_add(out, "Content-Type: ", 14);
		buffer_puts(out, type);
		buffer_add(out, "\r\n", 2);
	}
	if (length == REPLY_CHUNKED) {
		buffer_puts(out, "Transfer-Encoding: chunked\r\n");
	} else if (length < REPLY_NO_LENGTH) {
		buffer_add(out, "Content-Length: ", 16);
		buffer_u64(out, length);
		buffer_add(out, "\r\n", 2);
	}
	connection_fields(conn);
}

void reply_field(struct conn *conn, const char *name, struct text value)
{
	buffer_puts(&conn->out, name);
	buffer_add(&conn->out, ": ", 2);
	buffer_add_text(&conn->out, value);
	buffer_add(&conn->out, "\r\n", 2);
}

void reply_head_end(struct conn *conn)
{
	buffer_add(&conn->out, "\r\n", 2);
}

bool reply_has_body(const struct conn *conn, unsigned status)
{
	return !conn->exchange.request.is_head && status >= 200 && status != 204 && status != 304;
}

void reply_piece(struct conn *conn, const void *data, size_t size)
{
	if (size == 0)
		return;
	if (conn->exchange.is_chunked)
		buffer_printf(&conn->out, "%zx\r\n", size);
	buffer_add(&conn->out, data, size);
	if (conn->exchange.is_chunked)
		buffer_add(&conn->out, "\r\n", 2);
}

void reply_end(struct conn *conn, struct text trailer)
{
	if (conn->exchange.is_chunked) {
		buffer_puts(&conn->out, "0\r\n");
		buffer_add_text(&conn->out, trailer);
		buffer_puts(&conn->out, "\r\n");
	}
	reply_done(conn);
}

void reply_done(struct conn *conn)
{
	conn->exchange.is_answered = true;
}

void reply_text(struct conn *conn, unsigned status, const char *type, struct text body)
{
	bool is_empty = status < 200 || status == 204 || status == 304;

	reply_head(conn, status, body.size ? type : NULL, is_empty ? REPLY_NO_LENGTH : body.size);
	reply_head_end(conn);
	if (reply_has_body(conn, status))
		buffer_add_text(&conn->out, body);
	reply_done(conn);
}

void reply_json(struct conn *conn, const struct buffer *body)
{
	reply_text(conn, 200, "application/json",
		   (struct text){ body->data + body->start, buffer_size(body) });
}

void reply_line(struct conn *conn, unsigned status, const char *line)
{
	char text[256];
	size_t size = strnlen(line, sizeof(text) - 1);

	memcpy(text, line, size);
	text[size] = '\n';
	reply_text(conn, status, "text/plain", (struct text){ text, size + 1 });
}
