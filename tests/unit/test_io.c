/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "user/net/io.h"
#include "user/net/socket.h"

TEST(silence_bytes_and_the_end_are_told_apart)
{
	char data[16];
	int near, far;

	pair_open(&near, &far);
	assert_int_equal(io_peek(near), -EAGAIN);
	assert_int_equal(io_read(near, data, sizeof(data)), -EAGAIN);
	assert_int_equal(io_write(far, "hello", 5, false), 5);
	pair_wait(near, POLLIN);
	assert_int_equal(io_peek(near), 1);
	assert_int_equal(io_peek(near), 1);
	assert_int_equal(io_read(near, data, 2), 2);
	assert_int_equal(io_read(near, data + 2, sizeof(data) - 2), 3);
	assert_memory_equal(data, "hello", 5);
	assert_int_equal(io_read(near, data, sizeof(data)), -EAGAIN);
	socket_close(far);
	pair_wait(near, POLLIN);
	assert_int_equal(io_peek(near), 0);
	assert_int_equal(io_read(near, data, sizeof(data)), 0);
	close(near);
}

TEST(a_reset_is_an_error_and_a_gone_reader_no_signal)
{
	char byte = 'x';
	struct iovec list = { &byte, 1 };
	int near, far;

	pair_open(&near, &far);
	socket_reset(far);
	pair_wait(near, POLLHUP);
	assert_int_equal(io_peek(near), -ECONNRESET);
	assert_int_equal(io_write(near, "x", 1, false), -EPIPE);
	assert_int_equal(io_writev(near, &list, 1, true), -EPIPE);
	assert_int_equal(io_read(near, &byte, 1), 0);
	close(near);
}

TEST(segments_are_written_in_order)
{
	char text[] = "abcde";
	struct iovec list[] = { { text, 2 }, { text, 0 }, { text + 2, 3 } };
	char data[8];
	int near, far;

	pair_open(&near, &far);
	assert_int_equal(io_writev(near, list, 3, false), 5);
	pair_wait(far, POLLIN);
	assert_int_equal(io_read(far, data, sizeof(data)), 5);
	assert_memory_equal(data, "abcde", 5);
	close(near);
	close(far);
}

/* In how many segments two writes of two bytes go, of which the first says whether more follows. */
static uint32_t segments_of(bool has_more)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);
	char data[8];
	int near, far;

	pair_open(&near, &far);
	assert_int_equal(socket_set_nodelay(near), 0);
	assert_int_equal(io_write(near, "ab", 2, has_more), 2);
	assert_int_equal(io_write(near, "cd", 2, false), 2);
	for (size_t got = 0; got < 4;) {
		pair_wait(far, POLLIN);
		ssize_t some = io_read(far, data + got, sizeof(data) - got);

		assert_true(some > 0);
		got += (size_t)some;
	}
	assert_memory_equal(data, "abcd", 4);
	assert_int_equal(getsockopt(near, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
	close(near);
	close(far);
	return info.tcpi_data_segs_out;
}

TEST(more_holds_a_partial_segment_back_until_the_rest_follows)
{
	uint32_t segments = 0;

	assert_true(segments_of(false) >= 2);
	/* The kernel lets go after 200 ms: who was held up for that long between both tries again. */
	for (int i = 0; i < 50 && segments != 1; i++)
		segments = segments_of(true);
	assert_int_equal(segments, 1);
}

TEST(a_full_socket_takes_nothing)
{
	static char block[64 * 1024];
	ssize_t len = 1;
	int near, far;

	pair_open(&near, &far);
	for (int i = 0; i < 10000 && len > 0; i++)
		len = io_write(near, block, sizeof(block), false);
	assert_int_equal(len, -EAGAIN);
	close(near);
	close(far);
}
