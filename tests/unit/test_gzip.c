/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin/http/gzip.h"
#include "tests/lib/alloc.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

TEST(accept_encoding_is_read_as_rfc_9110_says)
{
	static const struct {
		const char *value;
		bool want;
	} cases[] = {
		{ "", false },
		{ "gzip", true },
		{ "GZIP", true },
		{ "x-gzip", true },
		{ "deflate, gzip;q=1.0, *;q=0.5", true },
		{ "gzip;q=0", false },
		{ "gzip; q=0.000", false },
		{ "gzip;q=0.001", true },
		{ "*", true },
		{ "*;q=0", false },
		{ "*;q=0, gzip", true },
		{ "identity", false },
		{ "gzipped", false },
		{ "br, deflate", false },
		{ "gzip;q=0, *", false },
		{ " ,, gzip ", true },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (gzip_is_accepted(span_str(cases[i].value)) != cases[i].want)
			fail_msg("\"%s\"", cases[i].value);
	}
}

/* What `gzip -dc` makes of the bytes. */
static size_t gunzip(struct span in, char *out, size_t size)
{
	char name[] = "/tmp/headgate-gzip-XXXXXX", command[64];
	int fd = mkstemp(name);
	size_t len;
	FILE *pipe;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, in.data, in.len), in.len);
	snprintf(command, sizeof(command), "gzip -dc < %s", name);
	pipe = popen(command, "r");
	len = fread(out, 1, size, pipe);
	assert_int_equal(pclose(pipe), 0);
	close(fd);
	unlink(name);
	return len;
}

TEST(what_is_compressed_comes_back)
{
	static const size_t sizes[] = {
		0, 1, 100, 65536, 1024 * 1024 - 1, 1024 * 1024, 3 * 1024 * 1024 + 17
	};

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char *plain = malloc(sizes[i] + 1), *back = malloc(sizes[i] + 1);
		struct text out;

		/* Half of it compresses well, half of it hardly. */
		for (size_t at = 0; at < sizes[i]; at++)
			plain[at] = (char)(at % 128 < 64 ? 'x' : (at * 2654435761u) >> 24);
		text_init(&out);
		assert_int_equal(gzip_compress(span_of(plain, sizes[i]), &out), 0);
		assert_int_equal(gunzip(text_span(&out), back, sizes[i] + 1), sizes[i]);
		assert_memory_equal(plain, back, sizes[i]);
		text_done(&out);
		free(plain);
		free(back);
	}
}

static int compress_something(void *context)
{
	struct text out;
	int error;

	(void)context;
	text_init(&out);
	error = gzip_compress(SPAN("abcabcabcabc"), &out);
	text_done(&out);
	return error;
}

TEST(compressing_survives_lack_of_memory)
{
	assert_true(alloc_fail_each(compress_something, NULL) >= 3);
}
