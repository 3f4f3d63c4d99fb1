/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/path.h"

#include "user/base/char_class.h"

/* RFC 3986 2.3 */
static bool is_unreserved(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '.' || c == '_' || c == '~';
}

/* The byte that the escape at `at` stands for; -1: no escape. */
static int escape_read(const char *at, const char *end)
{
	if (end - at < 3 || !octet_is(at[1], OCTET_HEX) || !octet_is(at[2], OCTET_HEX))
		return -1;
	return octet_hex(at[1]) << 4 | octet_hex(at[2]);
}

/* True if an escape of `byte` stays as it is. */
static bool escape_is_plain(const char *at, int byte, const struct path_rules *rules)
{
	if (byte <= 0 || is_unreserved((unsigned char)byte) || at[1] >= 'a' || at[2] >= 'a')
		return false;
	if (byte == ';' && rules->semicolons != PATH_SEMICOLONS_KEEP)
		return false;
	return rules->slashes == PATH_SLASHES_KEEP || (byte != '/' && byte != '\\');
}

static bool is_dot_segment(const char *at, const char *end)
{
	const char *dots = at;

	while (at < end && *at == '.')
		at++;
	return (at == end || *at == '/') && at - dots >= 1 && at - dots <= 2;
}

static bool is_slash_normal(const char *at, const char *end, const struct path_rules *rules)
{
	return !(at + 1 < end && at[1] == '/' && !rules->keeps_double) && !is_dot_segment(at + 1, end);
}

/* True for most paths: nothing has to change, and nothing is copied. */
static bool is_normal(struct span path, const struct path_rules *rules)
{
	const char *end = path.data + path.len;

	for (const char *at = path.data; at < end; at++) {
		if (*at == '/' && !is_slash_normal(at, end, rules))
			return false;
		if (*at == '\\' && rules->slashes != PATH_SLASHES_KEEP)
			return false;
		if (*at == ';' && rules->semicolons != PATH_SEMICOLONS_KEEP)
			return false;
		if (*at == '%' && !escape_is_plain(at, escape_read(at, end), rules))
			return false;
	}
	return true;
}

/* An escaped slash or a backslash; three bytes if it is an escape. */
static enum http_error put_slash(char **out, const char *at, const struct path_rules *rules, int byte)
{
	if (rules->slashes == PATH_SLASHES_REJECT)
		return HTTP_ERROR_PATH_SLASH;
	if (rules->slashes == PATH_SLASHES_DECODE) {
		*(*out)++ = '/';
	} else if (*at == '\\') {
		*(*out)++ = '\\';
	} else {
		memcpy(*out, byte == '/' ? "%2F" : "%5C", 3);
		*out += 3;
	}
	return HTTP_ERROR_NONE;
}

static enum http_error put_escape(char **out, const char *at, const char *end, const struct path_rules *rules)
{
	static const char digits[] = "0123456789ABCDEF";
	int byte = escape_read(at, end);

	if (byte <= 0)
		return HTTP_ERROR_PATH;
	if (byte == '/' || byte == '\\')
		return put_slash(out, at, rules, byte);
	if (is_unreserved((unsigned char)byte)) {
		*(*out)++ = (char)byte;
		return HTTP_ERROR_NONE;
	}
	*(*out)++ = '%';
	*(*out)++ = digits[byte >> 4];
	*(*out)++ = digits[byte & 15];
	return HTTP_ERROR_NONE;
}

static bool is_semicolon(const char *at, const char *end)
{
	return *at == ';' || (*at == '%' && escape_read(at, end) == ';');
}

/* Decodes escapes first: dots, slashes and parameters must be known before segments are. */
static enum http_error decode(struct span path, const struct path_rules *rules, char *out, size_t *ret_len)
{
	const char *end = path.data + path.len;
	char *start = out;
	bool is_parameter = false;

	for (const char *at = path.data; at < end; at += *at == '%' ? 3 : 1) {
		enum http_error http_error = HTTP_ERROR_NONE;
		char *put = out;

		if (is_semicolon(at, end) && rules->semicolons == PATH_SEMICOLONS_REJECT)
			return HTTP_ERROR_PATH_SEMICOLON;
		if (*at == '%')
			http_error = put_escape(&out, at, end, rules);
		else if (*at == '\\')
			http_error = put_slash(&out, at, rules, '\\');
		else
			*out++ = *at;
		if (http_error)
			return http_error;
		is_parameter = *put != '/' && (is_parameter || is_semicolon(at, end));
		if (is_parameter && rules->semicolons == PATH_SEMICOLONS_STRIP)
			out = put;
	}
	*ret_len = (size_t)(out - start);
	return HTTP_ERROR_NONE;
}

/* RFC 3986 5.2.4, in place: `to` is the end of the kept part, `at` the slash before the next segment. */
static size_t remove_dots(char *path, size_t len, const struct path_rules *rules)
{
	const char *end = path + len;
	const char *at = path;
	char *to = path;

	while (at < end) {
		const char *segment = at + 1;
		const char *next = segment;

		while (next < end && *next != '/')
			next++;
		if (next == segment && next < end && !rules->keeps_double) {
			at = next;
			continue;
		}
		if (!is_dot_segment(segment, end)) {
			memmove(to, at, (size_t)(next - at));
			to += next - at;
		} else {
			while (next - segment == 2 && to > path && *--to != '/')
				;
			if (next == end)
				*to++ = '/';
		}
		at = next;
	}
	return (size_t)(to - path);
}

enum http_error path_normalise(struct span path, const struct path_rules *rules, struct arena *arena,
			       struct span *ret_path)
{
	enum http_error http_error;
	size_t len = 0;
	char *bytes;

	*ret_path = path;
	if (path.len == 0 || path.data[0] != '/' || is_normal(path, rules))
		return HTTP_ERROR_NONE;
	bytes = arena_bytes(arena, path.len);
	if (!bytes)
		return HTTP_ERROR_NO_MEMORY;
	http_error = decode(path, rules, bytes, &len);
	if (http_error)
		return http_error;
	*ret_path = span_of(bytes, remove_dots(bytes, len, rules));
	return HTTP_ERROR_NONE;
}
