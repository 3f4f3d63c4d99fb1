/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/span.h"

/*
 * Reads the server name and the ALPN list out of a TLS ClientHello (RFC 8446 4.1.2, RFC 5246 7.4.1.2, RFC
 * 6066 3, RFC 7301 3.1), to route a TLS stream that stays encrypted. Pure and incremental: bytes are fed as
 * they arrive and are never stored or altered; the caller keeps and forwards them all. The hello may be cut
 * into any number of records and segments. With ECH the outer name is the one that counts: it is the one
 * meant for this gateway.
 */
enum sni_result {
	SNI_MORE, /* feed further bytes */
	SNI_FOUND, /* the hello is complete and has a name */
	SNI_NONE, /* the hello is complete and has none */
	SNI_BAD, /* refused: see reason; nothing more can be fed */
};

/* id, words for the log */
#define SNI_REASONS(X) \
	X(NOT_TLS, "not a TLS handshake") \
	X(SSLV2, "an SSLv2 hello") \
	X(NOT_HELLO, "the first handshake message is not a ClientHello") \
	X(RECORD, "a broken TLS record header") \
	X(TOO_LARGE, "the ClientHello is larger than the limit") \
	X(LENGTHS, "lengths inside the ClientHello contradict each other") \
	X(DUPLICATE, "an extension or a name appears twice") \
	X(NAME_TYPE, "a server name of an unknown type") \
	X(NAME_BYTES, "a server name that no host can have") \
	X(ALPN, "a broken ALPN list")

enum sni_reason {
	SNI_REASON_NONE,
#define SNI_REASON_ID(id, text) SNI_REASON_##id,
	SNI_REASONS(SNI_REASON_ID)
#undef SNI_REASON_ID
	SNI_REASON_COUNT,
};
const char *sni_reason_text(enum sni_reason reason);

enum {
	SNI_NAME_BYTES = 253, /* longest host name, RFC 1035 2.3.4 without the root label */
	SNI_ALPN_BYTES = 256, /* kept of the list; protocols beyond are left out and is_alpn_cut is set */
	SNI_ALPN_COUNT = 16,
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
	uint16_t extension_type;
	bool has_server_name;
	bool has_alpn;

	uint16_t legacy_version;
	uint16_t name_len;
	char name[SNI_NAME_BYTES]; /* lower case */
	bool is_alpn_cut;
	uint8_t alpn_count;
	uint16_t alpn_len;
	char alpn[SNI_ALPN_BYTES]; /* each protocol behind its length byte */
};

void sni_init(struct sni_parser *parser);
/*
 * The next bytes of the stream. Once the result is not SNI_MORE it stays what it is; bytes behind the hello
 * are not looked at. At most LIMIT_CLIENT_HELLO_BYTES are read before SNI_BAD with TOO_LARGE.
 */
enum sni_result sni_feed(struct sni_parser *parser, struct span bytes);
/* Lower case, without trailing dot; empty unless SNI_FOUND. Points into the parser. */
struct span sni_name(const struct sni_parser *parser);
/*
 * Protocol number `index` of the client's list, or an empty span past the end. Foreign bytes. Points into the
 * parser.
 */
struct span sni_alpn(const struct sni_parser *parser, unsigned int index);
