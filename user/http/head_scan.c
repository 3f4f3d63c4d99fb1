/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/head_scan.h"

#include <string.h>

#include "user/base/char_class.h"

/* States of the start line come first: is_in_start_line() depends on the order. */
enum scan_state {
	SCAN_METHOD,
	SCAN_TARGET,
	SCAN_VERSION,
	SCAN_STATUS, /* responses: three digits */
	SCAN_STATUS_END,
	SCAN_REASON,
	SCAN_LINE_LF, /* CR seen */
	SCAN_LINE, /* at the first byte of a line after the start line */
	SCAN_NAME,
	SCAN_VALUE,
	SCAN_VALUE_LF,
	SCAN_HEAD_LF,
	SCAN_ENDED,
	SCAN_REFUSED,
};

/* The part of the input that one call may check. */
struct walk {
	struct head_scan *scan;
	const char *base;
	const char *at;
	const char *end;
	uint32_t max_fields;
};

static bool is_in_start_line(const struct head_scan *scan)
{
	return scan->state <= SCAN_LINE_LF;
}

static void enter(struct walk *w, enum scan_state state)
{
	w->scan->state = (uint8_t)state;
}

static void enter_word(struct walk *w, enum scan_state state)
{
	w->scan->word_start = (uint32_t)(w->at - w->base);
	enter(w, state);
}

static size_t word_bytes(const struct walk *w)
{
	return (size_t)(w->at - w->base) - w->scan->word_start;
}

static bool is_control(char c)
{
	unsigned char byte = (unsigned char)c;

	return byte < 0x20 || byte == 0x7f;
}

static enum http_error scan_lf(struct walk *w, enum scan_state next)
{
	if (*w->at != '\n')
		return HTTP_ERROR_BARE_CR;
	w->at++;
	enter(w, next);
	return HTTP_ERROR_NONE;
}

static enum http_error scan_method(struct walk *w)
{
	w->at = char_class_skip(w->at, w->end, OCTET_TOKEN);
	if (w->at == w->end)
		return HTTP_ERROR_NONE;
	if (word_bytes(w) == 0 && (*w->at == '\r' || *w->at == '\n'))
		return HTTP_ERROR_REQUEST_LINE;
	if (*w->at != ' ' || word_bytes(w) == 0)
		return HTTP_ERROR_METHOD;
	w->at++;
	enter_word(w, SCAN_TARGET);
	return HTTP_ERROR_NONE;
}

static enum http_error scan_target(struct walk *w)
{
	w->at = char_class_skip_target(w->at, w->end);
	if (w->at == w->end)
		return HTTP_ERROR_NONE;
	if (*w->at == '\n')
		return HTTP_ERROR_BARE_LF;
	if (*w->at == '\r')
		return HTTP_ERROR_REQUEST_LINE;
	if (*w->at != ' ')
		return HTTP_ERROR_TARGET;
	if (word_bytes(w) == 0)
		return HTTP_ERROR_REQUEST_LINE;
	w->at++;
	enter_word(w, SCAN_VERSION);
	return HTTP_ERROR_NONE;
}

/* Checks byte `index` of the version; `line_bad` is returned if the line does not even look like HTTP. */
static enum http_error version_byte(size_t index, char c, enum http_error line_bad)
{
	static const char begin[] = "HTTP/1.";

	if (index < 5)
		return c == begin[index] ? HTTP_ERROR_NONE : line_bad;
	if (index < 7 && c == begin[index])
		return HTTP_ERROR_NONE;
	if (index == 7 && (c == '0' || c == '1'))
		return HTTP_ERROR_NONE;
	return octet_is(c, OCTET_DIGIT) ? HTTP_ERROR_VERSION : line_bad;
}

/* The start of an HTTP/2 connection, RFC 9113 3.4: readers of heads decide whether it is allowed here. */
static bool is_preface(const struct walk *w)
{
	static const char line[] = "PRI * HTTP/2";
	size_t begin = w->scan->word_start;

	return !w->scan->is_response && !w->scan->lead_bytes && begin == 6 &&
	       (size_t)(w->at - w->base) >= 11 && memcmp(w->base, line, 11) == 0 && w->base[11] == line[11];
}

/* The whole version and the byte behind it, as nearly every head has them. */
static bool is_plain_version(const struct walk *w, char separator)
{
	return word_bytes(w) == 0 && w->end - w->at >= 9 && memcmp(w->at, "HTTP/1.", 7) == 0 &&
	       (w->at[7] == '0' || w->at[7] == '1') && w->at[8] == separator;
}

static enum http_error scan_version(struct walk *w)
{
	enum http_error line_bad = w->scan->is_response ? HTTP_ERROR_STATUS_LINE : HTTP_ERROR_REQUEST_LINE;
	char separator = w->scan->is_response ? ' ' : '\r';

	if (is_plain_version(w, separator))
		w->at += 8;
	for (; w->at < w->end; w->at++) {
		size_t index = word_bytes(w);
		enum http_error http_error;

		if (index == 8)
			break;
		if (index >= 5 && is_preface(w))
			http_error = *w->at == "HTTP/2.0"[index] ? HTTP_ERROR_NONE : HTTP_ERROR_VERSION;
		else
			http_error = version_byte(index, *w->at, line_bad);
		if (http_error != HTTP_ERROR_NONE)
			return *w->at == '\n' ? HTTP_ERROR_BARE_LF : http_error;
	}
	if (w->at == w->end)
		return HTTP_ERROR_NONE;
	if (*w->at != separator) {
		if (*w->at == '\n')
			return HTTP_ERROR_BARE_LF;
		return octet_is(*w->at, OCTET_DIGIT) ? HTTP_ERROR_VERSION : line_bad;
	}
	w->at++;
	enter_word(w, w->scan->is_response ? SCAN_STATUS : SCAN_LINE_LF);
	return HTTP_ERROR_NONE;
}

static enum http_error scan_status(struct walk *w)
{
	for (; w->at < w->end; w->at++) {
		size_t index = word_bytes(w);

		if (index == 3) {
			enter(w, SCAN_STATUS_END);
			break;
		}
		if (!octet_is(*w->at, OCTET_DIGIT) || (index == 0 && (*w->at < '1' || *w->at > '5')))
			return HTTP_ERROR_STATUS_LINE;
	}
	return HTTP_ERROR_NONE;
}

static enum http_error scan_status_end(struct walk *w)
{
	if (*w->at == '\n')
		return HTTP_ERROR_BARE_LF;
	if (*w->at != ' ' && *w->at != '\r')
		return HTTP_ERROR_STATUS_LINE;
	enter(w, *w->at == ' ' ? SCAN_REASON : SCAN_LINE_LF);
	w->at++;
	return HTTP_ERROR_NONE;
}

/* Scans text up to its CR: the reason phrase or a field value. */
static enum http_error scan_text(struct walk *w, enum scan_state next)
{
	w->at = char_class_skip_text(w->at, w->end);
	if (w->at == w->end)
		return HTTP_ERROR_NONE;
	if (*w->at != '\r')
		return *w->at == '\n' ? HTTP_ERROR_BARE_LF : HTTP_ERROR_CONTROL_BYTE;
	w->at++;
	enter(w, next);
	return HTTP_ERROR_NONE;
}

static enum http_error scan_name(struct walk *w)
{
	char c;

	w->at = char_class_skip(w->at, w->end, OCTET_TOKEN);
	if (w->at == w->end)
		return HTTP_ERROR_NONE;
	c = *w->at;
	if (c != ':') {
		if (c == '\n')
			return HTTP_ERROR_BARE_LF;
		return is_control(c) && c != '\r' && c != '\t' ? HTTP_ERROR_CONTROL_BYTE
							       : HTTP_ERROR_FIELD_NAME;
	}
	w->at++;
	enter(w, SCAN_VALUE);
	return scan_text(w, SCAN_VALUE_LF);
}

static enum http_error scan_line(struct walk *w)
{
	char c = *w->at;

	if (c == '\r') {
		w->at++;
		enter(w, SCAN_HEAD_LF);
		return HTTP_ERROR_NONE;
	}
	if (c == '\n')
		return HTTP_ERROR_BARE_LF;
	if (c == ' ' || c == '\t')
		return HTTP_ERROR_LEADING_SPACE;
	if (!octet_is(c, OCTET_TOKEN))
		return is_control(c) ? HTTP_ERROR_CONTROL_BYTE : HTTP_ERROR_FIELD_NAME;
	if (w->scan->field_count == w->max_fields)
		return HTTP_ERROR_TOO_MANY_FIELDS;
	w->scan->field_count++;
	enter(w, SCAN_NAME);
	return scan_name(w);
}

static enum http_error scan_step(struct walk *w)
{
	switch ((enum scan_state)w->scan->state) {
	case SCAN_METHOD:
		return scan_method(w);
	case SCAN_TARGET:
		return scan_target(w);
	case SCAN_VERSION:
		return scan_version(w);
	case SCAN_STATUS:
		return scan_status(w);
	case SCAN_STATUS_END:
		return scan_status_end(w);
	case SCAN_REASON:
		return scan_text(w, SCAN_LINE_LF);
	case SCAN_LINE_LF:
		return scan_lf(w, SCAN_LINE);
	case SCAN_LINE:
		return scan_line(w);
	case SCAN_NAME:
		return scan_name(w);
	case SCAN_VALUE:
		return scan_text(w, SCAN_VALUE_LF);
	case SCAN_VALUE_LF:
		return scan_lf(w, SCAN_LINE);
	case SCAN_HEAD_LF:
		return scan_lf(w, SCAN_ENDED);
	case SCAN_ENDED:
	case SCAN_REFUSED:
		break;
	}
	return w->scan->http_error;
}

void head_scan_init(struct head_scan *scan, bool is_response)
{
	*scan = (struct head_scan){
		.is_response = is_response,
		.state = is_response ? SCAN_VERSION : SCAN_METHOD,
	};
}

static enum scan_step refuse(struct head_scan *scan, enum http_error http_error)
{
	scan->http_error = http_error;
	scan->state = SCAN_REFUSED;
	return SCAN_BAD;
}

/*
 * Checks bytes up to `bound`, the first byte that cannot belong to this part of the head. Input beyond it is
 * not read, so that a limit is exceeded at the same byte however the input was split.
 */
static enum http_error scan_part(struct walk *w, struct span head, size_t bound, bool is_start_line)
{
	enum http_error http_error = HTTP_ERROR_NONE;

	w->end = head.data + (head.len < bound ? head.len : bound);
	while (http_error == HTTP_ERROR_NONE && w->at < w->end && w->scan->state != SCAN_ENDED &&
	       is_in_start_line(w->scan) == is_start_line)
		http_error = scan_step(w);
	w->scan->offset = (uint32_t)(w->at - w->base);
	return http_error;
}

/* Skips an empty line before a request. False if there is nothing else, or a CR without its LF. */
static bool skip_empty_line(struct head_scan *scan, struct span head)
{
	if (scan->is_response || scan->state != SCAN_METHOD || scan->lead_bytes || head.data[0] != '\r')
		return true;
	scan->offset = 1;
	if (head.len == 1)
		return false;
	if (head.data[1] != '\n') {
		refuse(scan, HTTP_ERROR_REQUEST_LINE);
		return false;
	}
	scan->lead_bytes = 2;
	scan->offset = 2;
	return head.len > 2;
}

static enum scan_step scan_head(struct head_scan *scan, struct span head, const struct head_limits *limits)
{
	size_t line_bound = (size_t)limits->line_bytes + 2;
	struct walk walk = { .scan = scan, .base = head.data, .max_fields = limits->fields };
	enum http_error http_error;

	walk.at = head.data + scan->offset;
	if (is_in_start_line(scan)) {
		if (scan->is_response || line_bound > limits->head_bytes)
			line_bound = limits->head_bytes;
		http_error = scan_part(&walk, head, line_bound, true);
		if (http_error != HTTP_ERROR_NONE)
			return refuse(scan, http_error);
		if (is_in_start_line(scan) && scan->offset == limits->head_bytes)
			return refuse(scan, HTTP_ERROR_HEAD_TOO_LONG);
		if (is_in_start_line(scan) && scan->offset == line_bound)
			return refuse(scan, HTTP_ERROR_LINE_TOO_LONG);
	}
	if (!is_in_start_line(scan)) {
		http_error = scan_part(&walk, head, limits->head_bytes, false);
		if (http_error != HTTP_ERROR_NONE)
			return refuse(scan, http_error);
		if (scan->state == SCAN_ENDED) {
			scan->head_bytes = scan->offset;
			return SCAN_DONE;
		}
		if (scan->offset == limits->head_bytes)
			return refuse(scan, HTTP_ERROR_HEAD_TOO_LONG);
	}
	return SCAN_MORE;
}

enum scan_step head_scan_run(struct head_scan *scan, struct span head, const struct head_limits *limits)
{
	enum scan_step step;

	if (scan->state == SCAN_ENDED)
		return SCAN_DONE;
	if (scan->state == SCAN_REFUSED)
		return SCAN_BAD;
	if (head.len <= scan->offset)
		return SCAN_MORE;
	if (!skip_empty_line(scan, head))
		return scan->state == SCAN_REFUSED ? SCAN_BAD : SCAN_MORE;
	/* Limits and word positions count from the start of the head. */
	scan->offset -= scan->lead_bytes;
	step = scan_head(scan, span_from(head, scan->lead_bytes), limits);
	scan->offset += scan->lead_bytes;
	if (step == SCAN_DONE)
		scan->head_bytes += scan->lead_bytes;
	return step;
}

bool head_scan_has_begun(const struct head_scan *scan)
{
	return scan->state > SCAN_METHOD || (scan->lead_bytes ? scan->offset > 2 : scan->offset > 1);
}
