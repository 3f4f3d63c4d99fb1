/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/span.h"

/*
 * Reads the server name out of a TLS ClientHello (RFC 8446 4.1.2, RFC 5246 7.4.1.2, RFC 6066 3), to route a
 * TLS stream that stays encrypted. Pure and incremental: bytes are fed as they arrive and are never stored or
 * altered; the caller keeps and forwards them all. The hello may be cut into any number of records and
 * segments. With ECH the outer name is the one that counts: it is the one meant for this gateway.
 */
enum sni_result {
	SNI_MORE, /* feed further bytes */
	SNI_FOUND, /* the hello is complete and has a name */
	SNI_NONE, /* the hello is complete and has none */
	SNI_BAD, /* refused: see reason; nothing more can be fed */
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
	SNI_REASON_NAME_BYTES, /* a server name that no host can have */
	SNI_REASON_COUNT,
};

enum {
	SNI_NAME_BYTES = 253, /* longest host name, RFC 1035 2.3.4 without the root label */
};

struct sni_parser {
	enum sni_result result;
	enum sni_reason reason;
	uint32_t total_bytes; /* read so far; the end of the hello with SNI_FOUND and SNI_NONE */

	/* record layer */
	uint8_t record_head[5];
	uint8_t record_head_len;
	uint16_t record_left;

	/* handshake layer: what is left of each enclosing length */
	uint8_t field; /* enum sni_field, in sni.c */
	uint32_t field_left; /* bytes of the field still to come */
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
 * The next bytes of the stream. Once the result is not SNI_MORE it stays what it is; bytes behind the hello
 * are not looked at. At most LIMIT_CLIENT_HELLO_BYTES are read before SNI_BAD with TOO_LARGE.
 */
enum sni_result sni_feed(struct sni_parser *parser, struct span bytes);
/* Lower case, without trailing dot; empty unless SNI_FOUND. Points into the parser. */
struct span sni_name(const struct sni_parser *parser);
