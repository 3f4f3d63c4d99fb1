/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/span.h"

/*
 * Reads the server name from a TLS ClientHello (RFC 8446 4.1.2, RFC 5246 7.4.1.2, RFC 6066 3), to route a TLS
 * stream that stays encrypted. Pure and incremental: it is fed bytes as they arrive, and neither stores nor
 * changes them; the caller keeps and forwards them all. The hello may be split into any number of records and
 * segments. With ECH it reads the outer name, which is the one meant for this gateway.
 */
enum sni_result {
	SNI_MORE, /* feed further bytes */
	SNI_FOUND, /* the hello is complete and has a name */
	SNI_NONE, /* the hello is complete and has no name */
	SNI_BAD, /* refused, see reason; feed nothing more */
};

enum sni_reason {
	SNI_REASON_NONE,
	SNI_REASON_NOT_TLS, /* not a TLS handshake */
	SNI_REASON_SSLV2, /* an SSLv2 hello */
	SNI_REASON_NOT_HELLO, /* the first handshake message is not a ClientHello */
	SNI_REASON_RECORD, /* a broken TLS record header */
	SNI_REASON_TOO_LARGE, /* the ClientHello is larger than the limit */
	SNI_REASON_LENGTHS, /* lengths inside the ClientHello contradict each other */
	SNI_REASON_DUPLICATE, /* the server name extension or a name in it appears twice */
	SNI_REASON_NAME_TYPE, /* a server name of an unknown type */
	SNI_REASON_NAME_BYTES, /* a server name that is no valid host name */
	SNI_REASON_COUNT,
};

enum {
	SNI_NAME_BYTES = 253, /* longest host name, RFC 1035 2.3.4 without the root label */
};

struct sni_parser {
	enum sni_result result;
	enum sni_reason reason;
	uint32_t total_bytes; /* read so far; with SNI_FOUND and SNI_NONE the length of the hello */

	/* record layer */
	uint8_t record_head[5];
	uint8_t record_head_len;
	uint16_t record_left;

	/* handshake layer: what is left of each enclosing length */
	uint8_t field; /* enum sni_field, in sni.c */
	uint32_t field_left; /* missing bytes of the field */
	uint32_t number; /* big-endian value being read */
	uint32_t message_left;
	uint32_t extensions_left;
	uint32_t extension_left;
	uint32_t list_left;
	bool has_server_name;

	uint16_t name_len;
	char name[SNI_NAME_BYTES]; /* lower case */
};

void sni_init(struct sni_parser *parser);
/*
 * Feeds the next bytes of the stream. Any result but SNI_MORE is final, and bytes after the hello are not
 * read. After LIMIT_CLIENT_HELLO_BYTES the result is SNI_BAD with TOO_LARGE.
 */
enum sni_result sni_feed(struct sni_parser *parser, struct span bytes);
/* Lower case, without trailing dot; empty unless SNI_FOUND. Points into the parser. */
struct span sni_name(const struct sni_parser *parser);
