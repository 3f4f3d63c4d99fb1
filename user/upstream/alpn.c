/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/alpn.h"

#include <string.h>

#include "user/base/hash.h"

#define ALPN_H2 SPAN("h2")

/* The next name of a list in wire format; false at its end, or where it is truncated. */
static bool alpn_next(struct span *list, struct span *ret_name)
{
	size_t len = list->len ? (uint8_t)list->data[0] : 0;

	if (!len || len + 1 > list->len)
		return false;
	*ret_name = span_of(list->data + 1, len);
	*list = span_from(*list, len + 1);
	return true;
}

static bool is_http1(struct span name)
{
	return span_starts(name, SPAN("http/1.")) || span_eq(name, SPAN("http/0.9"));
}

/* Tunnels, and dials that accept either, offer the configured list. */
static bool alpn_fits(enum dial_protocol protocol, struct span name)
{
	if (protocol == DIAL_HTTP1)
		return !span_eq(name, ALPN_H2);
	return protocol != DIAL_HTTP2 || !is_http1(name);
}

static struct span alpn_narrow(enum dial_protocol protocol, struct span list, struct alpn_offer *memory)
{
	struct span name;
	size_t len = 0;

	while (alpn_next(&list, &name)) {
		if (!alpn_fits(protocol, name) || len + 1 + name.len > sizeof(memory->bytes))
			continue;
		memory->bytes[len++] = (char)name.len;
		memcpy(memory->bytes + len, name.data, name.len);
		len += name.len;
	}
	return span_of(memory->bytes, len);
}

static struct span alpn_default(enum dial_protocol protocol)
{
	switch (protocol) {
	case DIAL_HTTP1:
		return SPAN("\x08http/1.1");
	case DIAL_HTTP2:
		return SPAN("\x02h2");
	case DIAL_EITHER:
		return SPAN("\x02h2\x08http/1.1");
	case DIAL_BYTES:
		break;
	}
	return (struct span){ 0 };
}

void alpn_offer(enum dial_protocol protocol, struct tls_client_settings *settings, struct alpn_offer *memory)
{
	struct span *alpn = &settings->params.alpn;

	if (alpn->len)
		*alpn = alpn_narrow(protocol, *alpn, memory);
	if (!alpn->len)
		*alpn = alpn_default(protocol);
	/* Contexts are found by the hash of their settings, so include the protocol. */
	settings->hash = hash_mix(settings->hash, (uint64_t)protocol + 1);
}

bool alpn_accept(enum dial_protocol protocol, struct span chosen, bool *ret_is_http2, struct tls_fault *fault)
{
	bool is_http2 = span_eq(chosen, ALPN_H2);

	*ret_is_http2 = is_http2 && protocol != DIAL_BYTES;
	if (protocol == DIAL_HTTP2 && !is_http2) {
		tls_fault_set(fault, "HTTP/2 was asked for, and the backend chose %.*s by ALPN",
			      SPAN_FMT(chosen.len ? chosen : SPAN("nothing")));
		return false;
	}
	if (protocol == DIAL_HTTP1 && is_http2) {
		tls_fault_set(fault, "the backend chose HTTP/2 (ALPN h2), which it was not offered");
		return false;
	}
	return true;
}

bool alpn_has_choice(const struct tls_client_settings *settings)
{
	struct span list = settings->params.alpn, name;

	if (!list.len)
		return true;
	while (alpn_next(&list, &name)) {
		if (span_eq(name, ALPN_H2))
			return true;
	}
	return false;
}
