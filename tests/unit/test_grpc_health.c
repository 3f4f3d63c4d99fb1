/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/http/grpc_health.h"

static void assert_request(struct span service, struct span want)
{
	struct buf out;

	buf_init(&out);
	assert_int_equal(grpc_health_request(&out, service), 0);
	assert_int_equal(buf_len(&out), want.len);
	assert_memory_equal(buf_span(&out).data, want.data, want.len);
	buf_done(&out);
}

TEST(a_request_is_the_message_that_protoc_makes)
{
	char long_name[300], want[5 + 3 + 300] = { 0, 0, 0, 1, 47, 0x0a, (char)0xac, 2 };

	assert_request(SPAN(""), SPAN("\0\0\0\0\0"));
	assert_request(SPAN("a.B"), SPAN("\0\0\0\0\5\x0a\3a.B"));
	memset(long_name, 'x', sizeof(long_name));
	memset(want + 8, 'x', sizeof(long_name));
	assert_request(span_of(long_name, sizeof(long_name)), span_of(want, sizeof(want)));
}

TEST(a_response_is_read_and_what_is_not_one_is_refused)
{
	static const struct {
		struct span body;
		int want;
	} rows[] = {
		{ SPAN("\0\0\0\0\2\x08\1"), GRPC_HEALTH_SERVING },
		{ SPAN("\0\0\0\0\2\x08\2"), GRPC_HEALTH_NOT_SERVING },
		{ SPAN("\0\0\0\0\0"), GRPC_HEALTH_UNKNOWN }, /* proto3 leaves out a 0 */
		{ SPAN("\0\0\0\0\6\x12\2hi\x08\1"), GRPC_HEALTH_SERVING }, /* a field it does not know */
		{ SPAN("\0\0\0\0\7\x1d"
		       "1234\x08\1"),
		  GRPC_HEALTH_SERVING },
		{ SPAN("\0\0\0\0\x0b\x21"
		       "12345678\x08\1"),
		  GRPC_HEALTH_SERVING },
		{ SPAN("\0\0\0\0\3\x08\x81\0"), GRPC_HEALTH_SERVING }, /* a long form of 1 */
		{ SPAN("\0\0\0\0\4\x08\2\x08\1"), GRPC_HEALTH_SERVING }, /* the last one counts */
		{ SPAN(""), -EBADMSG },
		{ SPAN("\0\0\0\0"), -EBADMSG },
		{ SPAN("\1\0\0\0\2\x08\1"), -EBADMSG }, /* compressed */
		{ SPAN("\0\0\0\0\3\x08\1"), -EBADMSG }, /* cut */
		{ SPAN("\0\0\0\0\1\x08\1"), -EBADMSG }, /* more than one message */
		{ SPAN("\0\0\0\0\1\x08"), -EBADMSG },
		{ SPAN("\0\0\0\0\2\x12\5"), -EBADMSG },
		{ SPAN("\0\0\0\0\1\x0b"), -EBADMSG }, /* a group */
		{ SPAN("\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), -EBADMSG },
		{ SPAN("\0\0\0\0\6\x08\xff\xff\xff\xff\x0f"), -EBADMSG }, /* more than an int */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(grpc_health_response(rows[i].body), rows[i].want);
}
