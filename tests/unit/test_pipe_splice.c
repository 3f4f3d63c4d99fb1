/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "user/net/pipe_splice.h"
#include "user/net/socket.h"

/* client -> [near_in] pipe [near_out] -> server, as the pipe lane of a relay has it. */
struct scene {
	struct pipe_pool pool;
	struct pipe_splice pipe;
	int client, near_in;
	int near_out, server;
};

static void set_non_blocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void scene_open(struct scene *scene)
{
	pipe_pool_init(&scene->pool);
	assert_int_equal(pipe_pool_take(&scene->pool, &scene->pipe), 0);
	pair_open(&scene->client, &scene->near_in);
	pair_open(&scene->near_out, &scene->server);
	set_non_blocking(scene->client);
	set_non_blocking(scene->near_in);
	set_non_blocking(scene->near_out);
	set_non_blocking(scene->server);
}

static void scene_close(struct scene *scene)
{
	pipe_pool_give(&scene->pool, &scene->pipe);
	pipe_pool_done(&scene->pool);
	close(scene->client);
	close(scene->near_in);
	close(scene->near_out);
	close(scene->server);
}

/* What the kernel itself says is inside the pipe. */
static void assert_held(const struct pipe_splice *pipe, size_t want)
{
	int held = -1;

	assert_int_equal(ioctl(pipe->read_fd, FIONREAD, &held), 0);
	assert_int_equal(pipe->held_bytes, want);
	assert_int_equal(held, want);
}

TEST(bytes_go_through_and_are_counted_on_both_sides)
{
	struct scene scene;
	char data[16];

	scene_open(&scene);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 100), -EAGAIN);
	assert_int_equal(send(scene.client, "hello world", 11, MSG_DONTWAIT | MSG_NOSIGNAL), 11);
	pair_wait(scene.near_in, POLLIN);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 5), 5);
	assert_held(&scene.pipe, 5);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 100), 6);
	assert_held(&scene.pipe, 11);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 100), -ENOBUFS);
	assert_int_equal(pipe_splice_out(&scene.pipe, scene.near_out, false), 11);
	assert_held(&scene.pipe, 0);
	pair_wait(scene.server, POLLIN);
	assert_int_equal(recv(scene.server, data, sizeof(data), MSG_DONTWAIT), 11);
	assert_memory_equal(data, "hello world", 11);
	scene_close(&scene);
}

TEST(the_end_of_the_stream_is_zero_also_with_bytes_inside)
{
	struct scene scene;

	scene_open(&scene);
	assert_int_equal(send(scene.client, "last", 4, MSG_DONTWAIT | MSG_NOSIGNAL), 4);
	assert_int_equal(socket_shutdown_write(scene.client), 0);
	pair_wait(scene.near_in, POLLRDHUP);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 100), 4);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 100), 0);
	assert_held(&scene.pipe, 4);
	assert_int_equal(pipe_splice_out(&scene.pipe, scene.near_out, false), 4);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 100), 0);
	scene_close(&scene);
}

TEST(a_reset_on_either_side_is_an_error_and_the_count_stays)
{
	struct scene scene;

	scene_open(&scene);
	assert_int_equal(send(scene.client, "four", 4, MSG_DONTWAIT | MSG_NOSIGNAL), 4);
	pair_wait(scene.near_in, POLLIN);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 100), 4);
	socket_reset(scene.client);
	socket_reset(scene.server);
	pair_wait(scene.near_in, POLLHUP);
	pair_wait(scene.near_out, POLLHUP);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 100), -ECONNRESET);
	assert_true(pipe_splice_out(&scene.pipe, scene.near_out, false) < 0);
	assert_held(&scene.pipe, 4);
	scene.client = scene.server = -1;
	scene_close(&scene);
}

static unsigned char pattern(size_t at)
{
	return (unsigned char)(at * 31 + at / 251);
}

/*
 * Moves 8 MiB with every step cut at another size; slow reader, slow writer, and the pipe as the narrow
 * place.
 */
TEST(every_byte_arrives_once_and_in_order)
{
	enum { TOTAL = 8 * 1024 * 1024 };
	static unsigned char block[64 * 1024];
	struct scene scene;
	size_t written = 0, in = 0, out = 0, read_bytes = 0;
	unsigned int seed = 12345;

	scene_open(&scene);
	while (read_bytes < TOTAL) {
		size_t len = 1 + (size_t)rand_r(&seed) % sizeof(block);
		ssize_t got;

		if (written < TOTAL) {
			len = len < TOTAL - written ? len : TOTAL - written;
			for (size_t i = 0; i < len; i++)
				block[i] = pattern(written + i);
			got = send(scene.client, block, len, MSG_DONTWAIT | MSG_NOSIGNAL);
			written += got > 0 ? (size_t)got : 0;
		}
		got = pipe_splice_in(scene.near_in, &scene.pipe, 1 + (size_t)rand_r(&seed) % 300000);
		if (got < 0)
			assert_int_equal(got, scene.pipe.held_bytes ? -ENOBUFS : -EAGAIN);
		in += got > 0 ? (size_t)got : 0;
		assert_held(&scene.pipe, in - out);
		if (scene.pipe.held_bytes > 0 && rand_r(&seed) % 3 == 0) {
			got = pipe_splice_out(&scene.pipe, scene.near_out, in < TOTAL);
			if (got < 0)
				assert_int_equal(got, -EAGAIN);
			out += got > 0 ? (size_t)got : 0;
			assert_held(&scene.pipe, in - out);
		}
		got = recv(scene.server, block, 1 + (size_t)rand_r(&seed) % sizeof(block), MSG_DONTWAIT);
		for (ssize_t i = 0; i < got; i++) {
			if (block[i] != pattern(read_bytes + (size_t)i))
				fail_msg("byte %zu differs", read_bytes + (size_t)i);
		}
		read_bytes += got > 0 ? (size_t)got : 0;
	}
	assert_int_equal(in, TOTAL);
	assert_int_equal(out, TOTAL);
	scene_close(&scene);
}

TEST(a_full_pipe_takes_nothing_and_says_so)
{
	static char block[64 * 1024];
	struct scene scene;
	ssize_t len = 1;

	scene_open(&scene);
	for (int i = 0; i < 100000 && len != -ENOBUFS; i++) {
		send(scene.client, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
		pair_wait(scene.near_in, POLLIN);
		len = pipe_splice_in(scene.near_in, &scene.pipe, sizeof(block));
	}
	assert_int_equal(len, -ENOBUFS);
	assert_true(scene.pipe.held_bytes > 0 && scene.pipe.held_bytes <= scene.pipe.size_bytes);
	assert_held(&scene.pipe, scene.pipe.held_bytes);
	scene_close(&scene);
	assert_int_equal(scene.pool.count, 0);
}

TEST(an_empty_pipe_is_used_again_and_one_with_bytes_is_closed)
{
	struct scene scene;
	int read_fd;

	scene_open(&scene);
	read_fd = scene.pipe.read_fd;
	pipe_pool_give(&scene.pool, &scene.pipe);
	pipe_pool_give(&scene.pool, &scene.pipe);
	assert_false(pipe_splice_is_open(&scene.pipe));
	assert_int_equal(scene.pool.count, 1);
	assert_int_equal(pipe_pool_take(&scene.pool, &scene.pipe), 0);
	assert_int_equal(scene.pipe.read_fd, read_fd);
	assert_int_equal(scene.pool.created_count, 1);
	assert_int_equal(send(scene.client, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), 1);
	pair_wait(scene.near_in, POLLIN);
	assert_int_equal(pipe_splice_in(scene.near_in, &scene.pipe, 1), 1);
	pipe_pool_give(&scene.pool, &scene.pipe);
	assert_int_equal(scene.pool.count, 0);
	assert_int_equal(fcntl(read_fd, F_GETFD), -1);
	scene_close(&scene);
}

TEST(the_pool_keeps_no_more_than_its_bound)
{
	struct pipe_splice pipes[LIMIT_IDLE_PIPES + 3];
	struct pipe_pool pool;

	pipe_pool_init(&pool);
	for (int i = 0; i < LIMIT_IDLE_PIPES + 3; i++)
		assert_int_equal(pipe_pool_take(&pool, &pipes[i]), 0);
	for (int i = 0; i < LIMIT_IDLE_PIPES + 3; i++)
		pipe_pool_give(&pool, &pipes[i]);
	assert_int_equal(pool.count, LIMIT_IDLE_PIPES);
	assert_int_equal(pool.created_count, LIMIT_IDLE_PIPES + 3);
	pipe_pool_done(&pool);
	assert_int_equal(pool.count, 0);
}

TEST(a_new_pipe_is_non_blocking_and_knows_its_size)
{
	struct pipe_pool pool;
	struct pipe_splice pipe;

	pipe_pool_init(&pool);
	assert_int_equal(pipe_pool_take(&pool, &pipe), 0);
	assert_true(fcntl(pipe.read_fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(pipe.write_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pipe.size_bytes, fcntl(pipe.write_fd, F_GETPIPE_SZ));
	pipe_pool_give(&pool, &pipe);
	pipe_pool_done(&pool);
}

TEST(without_descriptors_there_is_no_pipe)
{
	struct rlimit before, none;
	struct pipe_pool pool;
	struct pipe_splice pipe = { .read_fd = -1, .size_bytes = 77 };

	pipe_pool_init(&pool);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(pipe_pool_take(&pool, &pipe), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(pipe.size_bytes, 77);
}

TEST(a_descriptor_that_cannot_splice_is_an_error)
{
	struct scene scene;
	int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	scene_open(&scene);
	assert_true(pipe_splice_in(fd, &scene.pipe, 1) < 0);
	assert_held(&scene.pipe, 0);
	close(fd);
	scene_close(&scene);
}
