/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS ClientHellos. What has to hold:
 *   - the answer is the same however the bytes are cut, and every prefix of an accepted hello says MORE;
 *   - a second reading, which first joins the records and then walks the message with a cursor, finds the
 *     same name and protocols wherever we find one, and no complete hello where we ask for more;
 *   - a name is one that a host can have.
 */
#include <stdio.h>
#include <stdlib.h>

#include "user/base/limits.h"
#include "user/net/sni.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

/* ---- the second reading ---- */

struct cursor {
	const uint8_t *at;
	size_t left;
	bool is_broken;
};

static uint32_t number(struct cursor *c, unsigned int size)
{
	uint32_t value = 0;

	if (c->is_broken || c->left < size) {
		c->is_broken = true;
		return 0;
	}
	for (; size > 0; size--, c->at++, c->left--)
		value = value << 8 | *c->at;
	return value;
}

static struct cursor part(struct cursor *c, size_t len)
{
	struct cursor inside = { c->at, len, c->is_broken };

	if (c->is_broken || c->left < len) {
		c->is_broken = true;
		return (struct cursor){ NULL, 0, true };
	}
	c->at += len;
	c->left -= len;
	return inside;
}

struct reading {
	bool is_complete; /* the message is all there and its lengths agree */
	struct cursor name;
};

/* Joins the payloads of handshake records; returns how many bytes it got before something else came. */
static size_t join(const uint8_t *data, size_t size, uint8_t *message)
{
	struct cursor stream = { data, size, false };
	size_t len = 0;

	while (stream.left > 0) {
		uint32_t type = number(&stream, 1);
		uint32_t major = number(&stream, 1);
		size_t record;

		number(&stream, 1);
		record = number(&stream, 2);
		if (stream.is_broken || type != 22 || major != 3 || record == 0 || record > 1 << 14)
			break;
		record = record < stream.left ? record : stream.left;
		memcpy(message + len, stream.at, record);
		len += record;
		part(&stream, record);
	}
	return len;
}

static struct reading read_again(const uint8_t *message, size_t len)
{
	struct cursor all = { message, len, false };
	struct reading reading = { .is_complete = false };
	struct cursor hello, extensions;

	if (number(&all, 1) != 1)
		return reading;
	hello = part(&all, number(&all, 3));
	number(&hello, 2);
	part(&hello, 32);
	part(&hello, number(&hello, 1));
	part(&hello, number(&hello, 2));
	part(&hello, number(&hello, 1));
	extensions = hello.left ? part(&hello, number(&hello, 2)) : (struct cursor){ NULL, 0, false };
	while (extensions.left > 0 && !extensions.is_broken) {
		uint32_t type = number(&extensions, 2);
		struct cursor body = part(&extensions, number(&extensions, 2));

		if (type == 0) {
			struct cursor names = part(&body, number(&body, 2));

			number(&names, 1);
			reading.name = part(&names, number(&names, 2));
		}
	}
	reading.is_complete = !all.is_broken && !hello.is_broken && hello.left == 0 && !extensions.is_broken;
	return reading;
}

/* ---- ours ---- */

static enum sni_result feed_cut(struct sni_parser *parser, const uint8_t *data, size_t size, size_t step)
{
	sni_init(parser);
	for (size_t at = 0; at < size; at += step) {
		size_t len = size - at < step ? size - at : step;
		char *copy = malloc(len);

		MUST(copy);
		memcpy(copy, data + at, len);
		sni_feed(parser, span_of(copy, len));
		free(copy);
	}
	return parser->result;
}

static void same(const struct sni_parser *a, const struct sni_parser *b)
{
	MUST(a->result == b->result);
	MUST(a->reason == b->reason);
	MUST(a->result == SNI_BAD || a->total_bytes == b->total_bytes);
	MUST(span_eq(sni_name(a), sni_name(b)));
}

static void check_name(struct span name, const struct cursor *want)
{
	MUST(name.len > 0 && name.len <= SNI_NAME_BYTES);
	MUST(name.data[0] != '.' && name.data[name.len - 1] != '.');
	MUST(!want->is_broken && want->left == name.len);
	MUST(span_eq_nocase(name, span_of(want->at, want->left)));
	for (size_t i = 0; i < name.len; i++)
		MUST(name.data[i] > 0x20 && name.data[i] < 0x7f &&
		     (name.data[i] < 'A' || name.data[i] > 'Z'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t message[1 << 20];
	struct sni_parser whole, single, segments;
	struct reading reading;

	if (size > sizeof(message))
		return 0;
	feed_cut(&whole, data, size, size ? size : 1);
	feed_cut(&single, data, size, 1);
	feed_cut(&segments, data, size, size ? 1 + data[size / 2] : 1);
	same(&whole, &single);
	same(&whole, &segments);
	MUST(whole.total_bytes <= size && whole.total_bytes <= LIMIT_CLIENT_HELLO_BYTES);

	reading = read_again(message, join(data, whole.total_bytes, message));
	switch (whole.result) {
	case SNI_MORE:
		MUST(whole.total_bytes == size);
		MUST(!reading.is_complete);
		break;
	case SNI_FOUND:
	case SNI_NONE:
		MUST(reading.is_complete);
		if (whole.result == SNI_FOUND)
			check_name(sni_name(&whole), &reading.name);
		else
			MUST(reading.name.left == 0);
		feed_cut(&single, data, whole.total_bytes - 1, size);
		MUST(single.result == SNI_MORE);
		break;
	case SNI_BAD:
		MUST(whole.reason != SNI_REASON_NONE && whole.reason < SNI_REASON_COUNT);
		break;
	}
	return 0;
}
