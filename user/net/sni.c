/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/sni.h"

#include "user/base/limits.h"

enum {
	RECORD_HEAD_BYTES = 5,
	RECORD_HANDSHAKE = 22,
	RECORD_MAX_BYTES = 1 << 14, /* RFC 8446 5.1 */
	MESSAGE_HEAD_BYTES = 4,
	MESSAGE_CLIENT_HELLO = 1,
	EXTENSION_SERVER_NAME = 0,
	NAME_TYPE_HOST = 0,
	LABEL_MAX_BYTES = 63,
};

/*
 * The parts of the handshake message in their order. Numbers are collected big-endian; the other parts are
 * runs of bytes. The length of a part is subtracted from the enclosing length before its first byte is read.
 */
enum sni_field {
	FIELD_MESSAGE_HEAD, /* number: type and length */
	FIELD_VERSION, /* number */
	FIELD_RANDOM,
	FIELD_SESSION_LEN, /* number */
	FIELD_SESSION,
	FIELD_CIPHERS_LEN, /* number */
	FIELD_CIPHERS,
	FIELD_COMPRESSIONS_LEN, /* number */
	FIELD_COMPRESSIONS,
	FIELD_EXTENSIONS_LEN, /* number */
	FIELD_EXTENSION_HEAD, /* number: type and length */
	FIELD_EXTENSION, /* an extension that is skipped */
	FIELD_NAMES_LEN, /* number */
	FIELD_NAME_HEAD, /* number: type and length */
	FIELD_NAME,
};

void sni_init(struct sni_parser *parser)
{
	*parser = (struct sni_parser){ .result = SNI_MORE, .field_left = MESSAGE_HEAD_BYTES };
}

static void sni_refuse(struct sni_parser *parser, enum sni_reason reason)
{
	parser->result = SNI_BAD;
	parser->reason = reason;
}

/* Starts the next part, len bytes long, and subtracts it from *left. */
static void sni_next(struct sni_parser *parser, enum sni_field field, uint32_t len, uint32_t *left)
{
	if (len > *left) {
		sni_refuse(parser, SNI_REASON_LENGTHS);
		return;
	}
	*left -= len;
	parser->field = (uint8_t)field;
	parser->field_left = len;
	parser->number = 0;
}

static void sni_complete(struct sni_parser *parser)
{
	parser->result = parser->name_len ? SNI_FOUND : SNI_NONE;
}

static void sni_next_extension(struct sni_parser *parser)
{
	if (parser->extensions_left == 0)
		sni_complete(parser);
	else
		sni_next(parser, FIELD_EXTENSION_HEAD, 4, &parser->extensions_left);
}

static void sni_next_name(struct sni_parser *parser)
{
	if (parser->list_left == 0)
		sni_next_extension(parser);
	else
		sni_next(parser, FIELD_NAME_HEAD, 3, &parser->list_left);
}

static void sni_message_head(struct sni_parser *parser)
{
	uint32_t len = parser->number & 0xffffff;

	if (parser->number >> 24 != MESSAGE_CLIENT_HELLO) {
		sni_refuse(parser, SNI_REASON_NOT_HELLO);
	} else if (len > LIMIT_CLIENT_HELLO_BYTES - MESSAGE_HEAD_BYTES - RECORD_HEAD_BYTES) {
		sni_refuse(parser, SNI_REASON_TOO_LARGE);
	} else {
		parser->message_left = len;
		sni_next(parser, FIELD_VERSION, 2, &parser->message_left);
	}
}

/* The extensions must end the message: RFC 8446 4.1.2 has nothing after them. */
static void sni_extensions(struct sni_parser *parser)
{
	if (parser->number != parser->message_left) {
		sni_refuse(parser, SNI_REASON_LENGTHS);
		return;
	}
	parser->extensions_left = parser->message_left;
	parser->message_left = 0;
	sni_next_extension(parser);
}

static void sni_extension(struct sni_parser *parser)
{
	uint32_t type = parser->number >> 16;
	uint32_t len = parser->number & 0xffff;

	if (type != EXTENSION_SERVER_NAME) {
		sni_next(parser, FIELD_EXTENSION, len, &parser->extensions_left);
		return;
	}
	if (parser->has_server_name) {
		sni_refuse(parser, SNI_REASON_DUPLICATE);
		return;
	}
	parser->has_server_name = true;
	if (len > parser->extensions_left) {
		sni_refuse(parser, SNI_REASON_LENGTHS);
		return;
	}
	parser->extensions_left -= len;
	parser->extension_left = len;
	sni_next(parser, FIELD_NAMES_LEN, 2, &parser->extension_left);
}

/* The list of names must fill its extension exactly, and must not be empty (RFC 6066 3). */
static void sni_names(struct sni_parser *parser)
{
	if (parser->number == 0 || parser->number != parser->extension_left) {
		sni_refuse(parser, SNI_REASON_LENGTHS);
		return;
	}
	parser->list_left = parser->extension_left;
	sni_next_name(parser);
}

static void sni_name_head(struct sni_parser *parser)
{
	uint32_t len = parser->number & 0xffff;

	if (parser->number >> 16 != NAME_TYPE_HOST)
		sni_refuse(parser, SNI_REASON_NAME_TYPE);
	else if (parser->name_len)
		sni_refuse(parser, SNI_REASON_DUPLICATE);
	else if (len == 0 || len > SNI_NAME_BYTES)
		sni_refuse(parser, SNI_REASON_NAME_BYTES);
	else
		sni_next(parser, FIELD_NAME, len, &parser->list_left);
}

/* Labels of 1 to 63 bytes; no dot at either end (RFC 6066 3: no trailing dot). */
static void sni_name_end(struct sni_parser *parser)
{
	struct span rest = span_of(parser->name, parser->name_len);
	struct span label;

	while (span_split(&rest, '.', &label)) {
		if (label.len == 0 || label.len > LABEL_MAX_BYTES) {
			sni_refuse(parser, SNI_REASON_NAME_BYTES);
			return;
		}
	}
	sni_next_name(parser);
}

/* A part is complete: check it and start the next one. */
static void sni_field_end(struct sni_parser *parser)
{
	uint32_t number = parser->number;

	switch ((enum sni_field)parser->field) {
	case FIELD_MESSAGE_HEAD:
		sni_message_head(parser);
		return;
	case FIELD_VERSION:
		if (number >> 8 != 3)
			sni_refuse(parser, SNI_REASON_NOT_HELLO);
		else
			sni_next(parser, FIELD_RANDOM, 32, &parser->message_left);
		return;
	case FIELD_RANDOM:
		sni_next(parser, FIELD_SESSION_LEN, 1, &parser->message_left);
		return;
	case FIELD_SESSION_LEN:
		if (number > 32)
			sni_refuse(parser, SNI_REASON_LENGTHS);
		else
			sni_next(parser, FIELD_SESSION, number, &parser->message_left);
		return;
	case FIELD_SESSION:
		sni_next(parser, FIELD_CIPHERS_LEN, 2, &parser->message_left);
		return;
	case FIELD_CIPHERS_LEN:
		if (number == 0 || number % 2)
			sni_refuse(parser, SNI_REASON_LENGTHS);
		else
			sni_next(parser, FIELD_CIPHERS, number, &parser->message_left);
		return;
	case FIELD_CIPHERS:
		sni_next(parser, FIELD_COMPRESSIONS_LEN, 1, &parser->message_left);
		return;
	case FIELD_COMPRESSIONS_LEN:
		if (number == 0)
			sni_refuse(parser, SNI_REASON_LENGTHS);
		else
			sni_next(parser, FIELD_COMPRESSIONS, number, &parser->message_left);
		return;
	case FIELD_COMPRESSIONS:
		if (parser->message_left == 0)
			sni_complete(parser);
		else
			sni_next(parser, FIELD_EXTENSIONS_LEN, 2, &parser->message_left);
		return;
	case FIELD_EXTENSIONS_LEN:
		sni_extensions(parser);
		return;
	case FIELD_EXTENSION_HEAD:
		sni_extension(parser);
		return;
	case FIELD_EXTENSION:
		sni_next_extension(parser);
		return;
	case FIELD_NAMES_LEN:
		sni_names(parser);
		return;
	case FIELD_NAME_HEAD:
		sni_name_head(parser);
		return;
	case FIELD_NAME:
		sni_name_end(parser);
		return;
	}
}

/* Letters, digits, hyphen, dot, and the underscore, which occurs in practice; stored in lower case. */
static void sni_name_bytes(struct sni_parser *parser, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char c = (unsigned char)bytes.data[i];
		unsigned char lower = (unsigned char)(c - 'A') < 26 ? (unsigned char)(c | 0x20) : c;
		bool is_plain = (unsigned char)(lower - 'a') < 26 || (unsigned char)(c - '0') < 10;

		if (!is_plain && c != '-' && c != '.' && c != '_') {
			sni_refuse(parser, SNI_REASON_NAME_BYTES);
			return;
		}
		parser->name[parser->name_len++] = (char)lower;
	}
}

/* Bytes within the current part. */
static void sni_field_bytes(struct sni_parser *parser, struct span bytes)
{
	switch ((enum sni_field)parser->field) {
	case FIELD_RANDOM:
	case FIELD_SESSION:
	case FIELD_CIPHERS:
	case FIELD_COMPRESSIONS:
	case FIELD_EXTENSION:
		return;
	case FIELD_NAME:
		sni_name_bytes(parser, bytes);
		return;
	case FIELD_MESSAGE_HEAD:
	case FIELD_VERSION:
	case FIELD_SESSION_LEN:
	case FIELD_CIPHERS_LEN:
	case FIELD_COMPRESSIONS_LEN:
	case FIELD_EXTENSIONS_LEN:
	case FIELD_EXTENSION_HEAD:
	case FIELD_NAMES_LEN:
	case FIELD_NAME_HEAD:
		for (size_t i = 0; i < bytes.len; i++)
			parser->number = parser->number << 8 | (unsigned char)bytes.data[i];
		return;
	}
}

/*
 * The payload of a record, or part of it: the handshake message may span records. Returns how many bytes it
 * consumed; fewer than given once there is a result.
 */
static size_t sni_payload(struct sni_parser *parser, struct span bytes)
{
	size_t len = bytes.len;

	while (bytes.len > 0 && parser->result == SNI_MORE) {
		struct span segment = span_first(bytes, parser->field_left);

		bytes = span_from(bytes, segment.len);
		parser->field_left -= (uint32_t)segment.len;
		sni_field_bytes(parser, segment);
		while (parser->result == SNI_MORE && parser->field_left == 0)
			sni_field_end(parser);
	}
	return len - bytes.len;
}

/*
 * One byte of a record header. An SSLv2 hello (RFC 5246 E.2) starts with a length whose top bit is set, and
 * its third byte is the message type.
 */
static void sni_record_byte(struct sni_parser *parser, unsigned char c)
{
	bool is_first = parser->total_bytes < RECORD_HEAD_BYTES;
	uint8_t *head = parser->record_head;
	uint8_t at = parser->record_head_len++;
	uint32_t len;

	head[at] = c;
	if (at == 0 && c != RECORD_HANDSHAKE && !(is_first && c & 0x80))
		sni_refuse(parser, is_first ? SNI_REASON_NOT_TLS : SNI_REASON_RECORD);
	else if (at == 1 && head[0] == RECORD_HANDSHAKE && c != 3)
		sni_refuse(parser, is_first ? SNI_REASON_NOT_TLS : SNI_REASON_RECORD);
	else if (at == 2 && head[0] != RECORD_HANDSHAKE)
		sni_refuse(parser, c == MESSAGE_CLIENT_HELLO ? SNI_REASON_SSLV2 : SNI_REASON_NOT_TLS);
	if (parser->result != SNI_MORE || parser->record_head_len < RECORD_HEAD_BYTES)
		return;
	len = (uint32_t)head[3] << 8 | head[4];
	if (len == 0 || len > RECORD_MAX_BYTES)
		sni_refuse(parser, SNI_REASON_RECORD);
	parser->record_left = (uint16_t)len;
	parser->record_head_len = 0;
}

enum sni_result sni_feed(struct sni_parser *parser, struct span bytes)
{
	while (bytes.len > 0 && parser->result == SNI_MORE) {
		uint32_t room = LIMIT_CLIENT_HELLO_BYTES - parser->total_bytes;
		size_t len = 1;

		if (parser->record_left == 0) {
			sni_record_byte(parser, (unsigned char)bytes.data[0]);
		} else {
			uint32_t most = parser->record_left < room ? parser->record_left : room;

			len = sni_payload(parser, span_first(bytes, most));
			parser->record_left = (uint16_t)(parser->record_left - len);
		}
		parser->total_bytes += (uint32_t)len;
		bytes = span_from(bytes, len);
		if (parser->result == SNI_MORE && parser->total_bytes == LIMIT_CLIENT_HELLO_BYTES)
			sni_refuse(parser, SNI_REASON_TOO_LARGE);
	}
	return parser->result;
}

struct span sni_name(const struct sni_parser *parser)
{
	return span_of(parser->name, parser->result == SNI_FOUND ? parser->name_len : 0);
}
