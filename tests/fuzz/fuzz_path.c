/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths: the first byte chooses the rules, the rest is the path. What has to hold for each:
 *   - a second reader, which decodes everything first and then keeps a list of segments, comes to the same
 *     path, or refuses it for the same reason;
 *   - what is normal already is not copied; the result is never longer, and normalising it again changes
 *     nothing;
 *   - no dot segment and no run of slashes is left, and no escape of a byte that needs none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "user/base/arena.h"
#include "user/http/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

/* ---- the second reader ---- */

enum { PATH_MAX_BYTES = 4096 };

struct second {
	char bytes[PATH_MAX_BYTES];
	size_t len;
	struct {
		size_t at, len;
	} segments[PATH_MAX_BYTES + 1];
	size_t count;
};

static int digit(char c)
{
	static const char digits[] = "0123456789ABCDEFabcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	if (!at)
		return -1;
	return (int)(at - digits) < 16 ? (int)(at - digits) : (int)(at - digits) - 6;
}

static bool needs_no_escape(int byte)
{
	return byte && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~", byte);
}

static enum http_error second_decode(struct second *second, struct span path, const struct path_rules *rules)
{
	size_t i = 0;

	while (i < path.len) {
		bool is_escape = path.data[i] == '%';
		int byte = (unsigned char)path.data[i];
		size_t taken = is_escape ? 3 : 1;

		if (is_escape) {
			if (path.len - i < 3 || digit(path.data[i + 1]) < 0 || digit(path.data[i + 2]) < 0)
				return HTTP_ERROR_PATH;
			byte = digit(path.data[i + 1]) * 16 + digit(path.data[i + 2]);
			if (byte == 0)
				return HTTP_ERROR_PATH;
		}
		i += taken;
		if (byte == ';' && rules->semicolons == PATH_SEMICOLONS_REJECT)
			return HTTP_ERROR_PATH_SEMICOLON;
		if (byte == '\\' || (is_escape && byte == '/')) {
			if (rules->slashes == PATH_SLASHES_REJECT)
				return HTTP_ERROR_PATH_SLASH;
			if (rules->slashes == PATH_SLASHES_DECODE) {
				byte = '/';
				is_escape = false;
			}
		}
		if (is_escape && !needs_no_escape(byte))
			second->len += (size_t)sprintf(second->bytes + second->len, "%%%02X", (unsigned)byte);
		else
			second->bytes[second->len++] = (char)byte;
	}
	return HTTP_ERROR_NONE;
}

/* A segment ends where its parameters begin. */
static void second_strip(struct second *second)
{
	size_t to = 0;
	bool is_parameter = false;

	for (size_t i = 0; i < second->len; i++) {
		const char *at = second->bytes + i;

		if (*at == '/')
			is_parameter = false;
		else if (*at == ';' || (second->len - i >= 3 && memcmp(at, "%3B", 3) == 0))
			is_parameter = true;
		if (!is_parameter)
			second->bytes[to++] = *at;
	}
	second->len = to;
}

static bool segment_is(const struct second *second, size_t at, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(second->bytes + at, text, len) == 0;
}

static void second_push(struct second *second, size_t at, size_t len)
{
	second->segments[second->count].at = at;
	second->segments[second->count++].len = len;
}

static void second_segments(struct second *second, const struct path_rules *rules)
{
	size_t at = 1;

	while (at <= second->len) {
		const char *slash = memchr(second->bytes + at, '/', second->len - at);
		size_t end = slash ? (size_t)(slash - second->bytes) : second->len;
		bool is_dots = segment_is(second, at, end - at, "..");

		if (is_dots && second->count)
			second->count--;
		if (is_dots || segment_is(second, at, end - at, ".")) {
			if (!slash)
				second_push(second, end, 0);
		} else if (end > at || !slash || rules->keeps_double) {
			second_push(second, at, end - at);
		}
		at = end + 1;
	}
}

/* The same, or the same refusal. */
static void compare(struct span path, const struct path_rules *rules, enum http_error http_error,
		    struct span normal)
{
	static struct second second;
	size_t at = 0;

	second.len = second.count = 0;
	MUST(second_decode(&second, path, rules) == http_error);
	if (http_error)
		return;
	if (rules->semicolons == PATH_SEMICOLONS_STRIP)
		second_strip(&second);
	second_segments(&second, rules);
	for (size_t i = 0; i < second.count; i++) {
		MUST(normal.len - at > second.segments[i].len && normal.data[at] == '/');
		MUST(memcmp(normal.data + at + 1, second.bytes + second.segments[i].at,
			    second.segments[i].len) == 0);
		at += 1 + second.segments[i].len;
	}
	MUST(at == normal.len);
}

/* ---- what a reader of the result relies on ---- */

static void look(struct span normal, const struct path_rules *rules)
{
	for (size_t i = 0; i < normal.len; i++) {
		struct span rest = span_from(normal, i);

		MUST(rules->keeps_double || !span_starts(rest, SPAN("//")));
		MUST(!span_starts(rest, SPAN("/./")) && !span_starts(rest, SPAN("/../")));
		MUST(!span_eq(rest, SPAN("/.")) && !span_eq(rest, SPAN("/..")));
		MUST(normal.data[i] != '\\' || rules->slashes == PATH_SLASHES_KEEP);
		MUST(normal.data[i] != ';' || rules->semicolons == PATH_SEMICOLONS_KEEP);
		if (normal.data[i] != '%')
			continue;
		MUST(rest.len >= 3 && digit(rest.data[1]) >= 0 && digit(rest.data[2]) >= 0);
		MUST(!needs_no_escape(digit(rest.data[1]) * 16 + digit(rest.data[2])));
	}
}

static void run(struct span path, const struct path_rules *rules, struct arena *arena)
{
	struct span normal, again;
	enum http_error http_error = path_normalise(path, rules, arena, &normal);

	if (!path.len || path.data[0] != '/') {
		MUST(!http_error && normal.data == path.data && normal.len == path.len);
		return;
	}
	compare(path, rules, http_error, normal);
	if (http_error)
		return;
	MUST(normal.len && normal.len <= path.len);
	MUST(!span_eq(normal, path) || normal.data == path.data);
	look(normal, rules);
	MUST(path_normalise(normal, rules, NULL, &again) == HTTP_ERROR_NONE);
	MUST(again.data == normal.data && again.len == normal.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct path_rules rules = { 0 };
	struct arena arena;
	char *copy;

	if (!size || size > PATH_MAX_BYTES)
		return 0;
	rules.keeps_double = data[0] & 1;
	rules.slashes = (enum path_slashes)((data[0] >> 1) % 3);
	rules.semicolons = (enum path_semicolons)((data[0] >> 4) % 3);
	/* Its own, so that what is read behind it is found. */
	copy = malloc(size);
	MUST(copy);
	memcpy(copy, data + 1, size - 1);
	arena_init(&arena, PATH_MAX_BYTES);
	run(span_of(copy, size - 1), &rules, &arena);
	arena_done(&arena);
	free(copy);
	return 0;
}
