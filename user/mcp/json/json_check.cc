/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of the library trip over warnings that ours are held to. */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <errno.h>
#include <string.h>

#include <new>

extern "C" {
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/mcp/json/json_text.h"
}

namespace ondemand = simdjson::ondemand;

/* Up to here memory stays for the next text: messages are small, and those that are not are rare. */
static const size_t KEEP_BYTES = 64 * 1024;

struct mcp_json_checker {
	ondemand::parser parser;
	char *copy; /* owner: the text with the bytes behind it that the library may read */
	size_t copy_bytes;
};

struct mcp_json_checker *mcp_json_checker_create(void)
{
	void *place = hg_calloc(1, sizeof(struct mcp_json_checker));
	struct mcp_json_checker *c;

	if (!place)
		return nullptr;
	c = new (place) mcp_json_checker();
	c->copy = nullptr;
	c->copy_bytes = 0;
	return c;
}

void mcp_json_checker_free(struct mcp_json_checker *c)
{
	if (!c)
		return;
	hg_free(c->copy);
	c->~mcp_json_checker();
	hg_free(c);
}

static void checker_shrink(struct mcp_json_checker *c)
{
	hg_free(c->copy);
	c->copy = nullptr;
	c->copy_bytes = 0;
	c->parser = ondemand::parser();
}

static int error_of(simdjson::error_code error)
{
	switch (error) {
	case simdjson::SUCCESS:
		return 0;
	case simdjson::MEMALLOC:
		return -ENOMEM;
	case simdjson::DEPTH_ERROR:
		return -ELOOP;
	default:
		return -EBADMSG;
	}
}

static bool is_digit(char c)
{
	return static_cast<unsigned char>(c - '0') < 10;
}

static const char *digits(const char *at, const char *end)
{
	while (at < end && is_digit(*at))
		at++;
	return at;
}

/* RFC 8259 6. The library would refuse those that fit neither 64 bits nor a double. */
static bool is_number(const char *at, const char *end)
{
	if (at < end && *at == '-')
		at++;
	if (at == end || !is_digit(*at))
		return false;
	at = *at == '0' ? at + 1 : digits(at, end);
	if (at < end && *at == '.') {
		if (++at == end || !is_digit(*at))
			return false;
		at = digits(at, end);
	}
	if (at < end && (*at | 0x20) == 'e') {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		if (at == end || !is_digit(*at))
			return false;
		at = digits(at, end);
	}
	return at == end;
}

/* Escapes of a string, from behind its quote. That it ends, and every other byte of it, was seen before. */
static bool string_is_valid(const char *at)
{
	for (;;) {
		at += strcspn(at, "\"\\");
		if (*at != '\\')
			return *at == '"';
		at++;
		if (*at == 'u') {
			for (int i = 1; i <= 4; i++) {
				char c = at[i];

				if (!is_digit(c) && static_cast<unsigned char>((c | 0x20) - 'a') > 5)
					return false;
			}
			at += 5;
		} else if (*at && strchr("\"\\/bfnrt", *at)) {
			at++;
		} else {
			return false;
		}
	}
}

/*
 * A value that is neither object nor array, up to what follows it. The library steps over it without a look
 * at that: a string in front of a colon would be a key to it.
 */
static bool scalar_is_valid(std::string_view token)
{
	char next = token.data()[token.size()];

	if (next != ',' && next != ']' && next != '}')
		return false;
	while (!token.empty() && strchr(" \t\r\n", token.back()))
		token.remove_suffix(1);
	if (token.empty())
		return false;
	if (token[0] == '"')
		return string_is_valid(token.data() + 1);
	if (token == "true" || token == "false" || token == "null")
		return true;
	return is_number(token.data(), token.data() + token.size());
}

static int walk(ondemand::value value, int depth);

static int walk_object(ondemand::object object, int depth)
{
	for (auto entry : object) {
		ondemand::field field;
		simdjson::error_code error = std::move(entry).get(field);
		int result = error_of(error);

		if (result)
			return result;
		if (!string_is_valid(field.key().raw()))
			return -EBADMSG;
		result = walk(field.value(), depth);
		if (result)
			return result;
	}
	return 0;
}

static int walk_array(ondemand::array array, int depth)
{
	for (auto entry : array) {
		ondemand::value value;
		simdjson::error_code error = std::move(entry).get(value);
		int result = error_of(error);

		if (!result)
			result = walk(value, depth);
		if (result)
			return result;
	}
	return 0;
}

static int walk(ondemand::value value, int depth)
{
	ondemand::json_type type;
	simdjson::error_code error = value.type().get(type);

	if (error)
		return error_of(error);
	if (type == ondemand::json_type::object || type == ondemand::json_type::array) {
		if (depth == LIMIT_MCP_DEPTH)
			return -ELOOP;
	}
	if (type == ondemand::json_type::object) {
		ondemand::object object;

		error = value.get_object().get(object);
		return error ? error_of(error) : walk_object(object, depth + 1);
	}
	if (type == ondemand::json_type::array) {
		ondemand::array array;

		error = value.get_array().get(array);
		return error ? error_of(error) : walk_array(array, depth + 1);
	}
	return scalar_is_valid(value.raw_json_token()) ? 0 : -EBADMSG;
}

static int walk_document(ondemand::document &document)
{
	ondemand::json_type type;
	ondemand::object object;
	ondemand::array array;
	simdjson::error_code error = document.type().get(type);
	int result;

	if (error)
		return error_of(error);
	if (type == ondemand::json_type::object) {
		error = document.get_object().get(object);
		result = error ? error_of(error) : walk_object(object, 1);
	} else if (type == ondemand::json_type::array) {
		error = document.get_array().get(array);
		result = error ? error_of(error) : walk_array(array, 1);
	} else {
		return -EBADMSG;
	}
	if (result)
		return result;
	return document.current_location().error() == simdjson::OUT_OF_BOUNDS ? 0 : -EBADMSG;
}

static int checker_take(struct mcp_json_checker *c, struct span text)
{
	size_t size = text.len + simdjson::SIMDJSON_PADDING;

	if (c->copy_bytes < size) {
		char *copy = static_cast<char *>(hg_malloc(size < 4096 ? 4096 : size));

		if (!copy)
			return -ENOMEM;
		hg_free(c->copy);
		c->copy = copy;
		c->copy_bytes = size < 4096 ? 4096 : size;
	}
	memcpy(c->copy, text.data, text.len);
	memset(c->copy + text.len, 0, simdjson::SIMDJSON_PADDING);
	return 0;
}

int mcp_json_check(struct mcp_json_checker *c, struct span text)
{
	ondemand::document document;
	int result;

	if (text.len == 0)
		return -EBADMSG;
	result = checker_take(c, text);
	if (result)
		return result;
	if (c->parser.capacity() < text.len || c->parser.max_depth() != LIMIT_MCP_DEPTH + 2) {
		simdjson::error_code error =
			c->parser.allocate(text.len < 4096 ? 4096 : text.len, LIMIT_MCP_DEPTH + 2);
		if (error)
			return error_of(error);
	}
	result = error_of(c->parser.iterate(c->copy, text.len, c->copy_bytes).get(document));
	if (!result)
		result = walk_document(document);
	if (text.len > KEEP_BYTES)
		checker_shrink(c);
	return result;
}
