/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/gzip.h"

#include <errno.h>
#include <zlib.h>

#include "user/base/mem.h"
#include "user/http/fields.h"

enum {
	GZIP_WINDOW_BITS = 15 + 16, /* 16: a gzip header instead of the zlib one */
	GZIP_MEM_LEVEL = 8,
	/*
	 * Above this size use the fastest level: the dump of a large gateway must not block the main thread
	 * for long.
	 */
	GZIP_FAST_BYTES = 1024 * 1024,
};

bool gzip_is_accepted(struct span accept_encoding)
{
	bool any = false;
	struct span element, name;

	while (span_split(&accept_encoding, ',', &element)) {
		struct span rest = element;

		if (!span_split(&rest, ';', &name))
			continue;
		name = span_trim(name);
		if (span_eq_nocase(name, SPAN("gzip")) || span_eq_nocase(name, SPAN("x-gzip")))
			return fields_have_weight(rest);
		if (span_eq(name, SPAN("*")))
			any = fields_have_weight(rest);
	}
	return any;
}

static void *gzip_alloc(void *context, unsigned int count, unsigned int size)
{
	(void)context;
	return hg_calloc(count, size);
}

static void gzip_free(void *context, void *memory)
{
	(void)context;
	hg_free(memory);
}

int gzip_compress(struct span in, struct text *out)
{
	z_stream stream = { .zalloc = gzip_alloc, .zfree = gzip_free };
	int level = in.len < GZIP_FAST_BYTES ? Z_DEFAULT_COMPRESSION : Z_BEST_SPEED;
	unsigned char segment[16 * 1024];
	int step;

	if (in.len > UINT32_MAX)
		return -ENOMEM;
	if (deflateInit2(&stream, level, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEM_LEVEL, Z_DEFAULT_STRATEGY) !=
	    Z_OK)
		return -ENOMEM;
	stream.next_in = (unsigned char *)in.data;
	stream.avail_in = (unsigned int)in.len;
	do {
		stream.next_out = segment;
		stream.avail_out = sizeof(segment);
		step = deflate(&stream, Z_FINISH);
		text_add(out, span_of(segment, sizeof(segment) - stream.avail_out));
	} while (step == Z_OK || step == Z_BUF_ERROR);
	deflateEnd(&stream);
	return step == Z_STREAM_END ? text_error(out) : -ENOMEM;
}
