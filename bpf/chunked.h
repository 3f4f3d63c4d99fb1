/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
#pragma once

/*
 * Walks along chunked transfer coding (RFC 9112 7.1), reading chunk lines only and skipping payload. The walk
 * is stricter than the parsers: it accepts a plain hexadecimal size of one to eight digits, CRLF, payload,
 * CRLF. The last chunk, an extension, a bare LF or anything else stops it; the caller then leaves the whole
 * skb to a complete parser, which starts from the state before that skb. So the two cannot disagree about the
 * end of a message: the walk covers only bytes whose meaning is unambiguous.
 *
 * Used by the verdict program, by user space when it forwards passed bytes, and by their differential test.
 */
#include "bpf/abi.h"

enum walk_phase {
	WALK_SIZE_FIRST, /* the first size digit is next: at the start, or between two chunks */
	WALK_SIZE, /* after at least one digit: another digit or CR */
	WALK_SIZE_LF, /* the LF after the size */
	WALK_DATA, /* `left` payload bytes follow, never 0 */
	WALK_DATA_CR, /* the CRLF after the payload */
	WALK_DATA_LF,
};

enum walk_verdict {
	WALK_COVERED, /* every byte is covered */
	WALK_LAST, /* size 0: trailers and the end of the body follow */
	WALK_SYNTAX, /* extension, blank, bare LF, sign, error */
	WALK_LONG, /* ninth size digit */
	WALK_MANY, /* the caller's limit on chunk lines was reached */
};

#define WALK_DIGITS_MAX 8u
/* The CRLF of the previous chunk, eight digits, CRLF: one load shows a whole line. */
#define WALK_WINDOW 16u
SOCKMAP_ASSERT(sizeof(((struct sockmap_kernel *)0)->walk_window) == WALK_WINDOW,
	       "the window is in the record");

/* Takes one byte outside of payload. WALK_COVERED: the byte was taken. */
static inline enum walk_verdict chunk_take(struct sockmap_chunk *c, __u8 byte)
{
	__u8 digit;

	if (c->phase == WALK_DATA_CR) {
		if (byte != '\r')
			return WALK_SYNTAX;
		c->phase = WALK_DATA_LF;
		return WALK_COVERED;
	}
	if (c->phase == WALK_DATA_LF) {
		if (byte != '\n')
			return WALK_SYNTAX;
		c->phase = WALK_SIZE_FIRST;
		c->left = 0;
		c->digits = 0;
		return WALK_COVERED;
	}
	if (c->phase == WALK_SIZE_LF) {
		if (byte != '\n')
			return WALK_SYNTAX;
		if (c->left == 0)
			return WALK_LAST;
		c->phase = WALK_DATA;
		return WALK_COVERED;
	}
	if (c->phase == WALK_SIZE && byte == '\r') {
		c->phase = WALK_SIZE_LF;
		return WALK_COVERED;
	}
	if (byte >= '0' && byte <= '9')
		digit = (__u8)(byte - '0');
	else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
		digit = (__u8)((byte | 0x20) - 'a' + 10);
	else
		return WALK_SYNTAX;
	if (c->digits >= WALK_DIGITS_MAX)
		return WALK_LONG;
	c->digits++;
	c->left = c->left << 4 | digit;
	c->phase = WALK_SIZE;
	return WALK_COVERED;
}

/* Skips up to `available` payload bytes and returns how many. Call it only in phase WALK_DATA. */
static inline __u64 chunk_skip(struct sockmap_chunk *c, __u64 available)
{
	__u64 count = c->left < available ? c->left : available;

	c->left -= count;
	if (c->left == 0)
		c->phase = WALK_DATA_CR;
	return count;
}

#ifndef __bpf__
#include <stddef.h>

/* Like chunk_walk(); on WALK_COVERED it also returns how many of the bytes are payload. */
static inline enum walk_verdict chunk_walk_counting(struct sockmap_chunk *c, const unsigned char *bytes,
						    size_t len, __u64 *ret_payload_bytes)
{
	__u64 payload = 0;
	struct sockmap_chunk state = *c;
	size_t at = 0;

	while (at < len) {
		enum walk_verdict verdict;

		if (state.phase == WALK_DATA) {
			__u64 count = chunk_skip(&state, len - at);

			payload += count;
			at += count;
			continue;
		}
		verdict = chunk_take(&state, bytes[at]);
		if (verdict != WALK_COVERED)
			return verdict;
		at++;
	}
	*c = state;
	*ret_payload_bytes = payload;
	return WALK_COVERED;
}

/*
 * Covers all of `bytes`, or returns another verdict and leaves *c unchanged. It has no limit on chunk lines:
 * user space is not bounded by the verifier.
 */
static inline enum walk_verdict chunk_walk(struct sockmap_chunk *c, const unsigned char *bytes, size_t len)
{
	__u64 payload;

	return chunk_walk_counting(c, bytes, len, &payload);
}
#endif
