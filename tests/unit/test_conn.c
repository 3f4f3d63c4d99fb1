/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/mem.h"
#include "user/relay/conn.h"
#include "user/relay/conn_sockmap.h"

/* One end of a TCP connection is a conn in a loop, the other a plain descriptor of the test. */
struct scene {
	struct conn conn;
	struct loop *loop;
	int far;
	unsigned int calls; /* of on_ready */
	unsigned int stop_at;
};

static void scene_on_ready(struct conn *conn)
{
	struct scene *scene = container_of(conn, struct scene, conn);

	if (++scene->calls == scene->stop_at)
		loop_stop(scene->loop);
}

static int scene_make(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	int near;

	assert_non_null(scene);
	scene->loop = loop_create(16);
	assert_non_null(scene->loop);
	pair_open(&near, &scene->far);
	assert_int_equal(fcntl(near, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(conn_open(&scene->conn, scene->loop, near, scene_on_ready), 0);
	*state = scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	/* It was never in a real map: map_conn(). */
	scene->conn.sockmap = NULL;
	conn_close(&scene->conn, false);
	if (scene->far >= 0)
		close(scene->far);
	loop_free(scene->loop);
	free(scene);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

/* Runs the loop until so many further events were reported. */
static void wait_events(struct scene *scene, unsigned int count)
{
	scene->stop_at = scene->calls + count;
	play(scene->loop);
}

/* Takes the first event of a new socket, which says that it is writable. */
static void settle(struct scene *scene)
{
	wait_events(scene, 1);
	assert_true(scene->conn.can_write);
}

static void far_reset(struct scene *scene)
{
	struct linger hard = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(scene->far, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(scene->far);
	scene->far = -1;
}

SCENE_TEST(a_short_read_means_that_nothing_is_left)
{
	struct scene *scene = *state;
	struct conn *conn = &scene->conn;
	char memory[64];

	settle(scene);
	assert_int_equal(conn_recv(conn, memory, sizeof(memory)), -EAGAIN);
	assert_false(conn->can_read);
	assert_int_equal(write(scene->far, "hello", 5), 5);
	assert_int_equal(conn_recv(conn, memory, sizeof(memory)), -EAGAIN); /* no event yet: nobody asks */
	wait_events(scene, 1);
	assert_true(conn->can_read);
	assert_int_equal(conn_recv(conn, memory, sizeof(memory)), 5);
	assert_memory_equal(memory, "hello", 5);
	assert_false(conn->can_read);
	assert_int_equal(conn->received_bytes, 5);
}

SCENE_TEST(a_full_read_may_leave_more)
{
	struct scene *scene = *state;
	char memory[4];

	settle(scene);
	assert_int_equal(write(scene->far, "hello", 5), 5);
	wait_events(scene, 1);
	assert_int_equal(conn_recv(&scene->conn, memory, 4), 4);
	assert_true(scene->conn.can_read);
	assert_int_equal(conn_recv(&scene->conn, memory, 4), 1);
	assert_int_equal(conn_recv(&scene->conn, memory, 4), -EAGAIN);
}

SCENE_TEST(a_fin_that_came_with_the_last_bytes_is_found)
{
	struct scene *scene = *state;
	char memory[64];

	settle(scene);
	assert_int_equal(write(scene->far, "bye", 3), 3);
	shutdown(scene->far, SHUT_WR);
	pair_wait(conn_fd(&scene->conn), POLLRDHUP);
	wait_events(scene, 1);
	assert_true(scene->conn.has_hup);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), 3);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), 0);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), 0);
	assert_true(scene->conn.has_eof);
	assert_int_equal(conn_check(&scene->conn), 0);
}

SCENE_TEST(a_reset_is_remembered)
{
	struct scene *scene = *state;
	char memory[64];

	settle(scene);
	far_reset(scene);
	wait_events(scene, 1);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), -ECONNRESET);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), -ECONNRESET);
	assert_int_equal(conn_check(&scene->conn), -ECONNRESET);
}

SCENE_TEST(a_reset_behind_unread_bytes_is_found_by_asking)
{
	struct scene *scene = *state;

	settle(scene);
	assert_int_equal(write(scene->far, "unread", 6), 6);
	wait_events(scene, 1);
	assert_int_equal(conn_check(&scene->conn), 0);
	far_reset(scene);
	pair_wait(conn_fd(&scene->conn), POLLERR);
	wait_events(scene, 1);
	assert_int_equal(conn_check(&scene->conn), -ECONNRESET);
	assert_int_equal(conn_check(&scene->conn), -ECONNRESET);
}

SCENE_TEST(a_reset_behind_bytes_is_found_by_reading_them_first)
{
	struct scene *scene = *state;
	char memory[64];

	settle(scene);
	assert_int_equal(write(scene->far, "last words", 10), 10);
	far_reset(scene);
	pair_wait(conn_fd(&scene->conn), POLLERR);
	wait_events(scene, 1);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), 10);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), -ECONNRESET);
}

/* ---- sending */

static int send_text(struct conn *conn, const char *text, size_t max_kept)
{
	struct iovec segment = { (void *)(uintptr_t)text, strlen(text) };

	return conn_send(conn, &segment, 1, max_kept);
}

SCENE_TEST(what_waits_leaves_before_what_is_sent_and_in_the_same_segment)
{
	struct scene *scene = *state;
	struct conn *conn = &scene->conn;
	struct iovec segments[] = { { (void *)(uintptr_t) "body ", 5 },
				    { (void *)(uintptr_t) "", 0 },
				    { (void *)(uintptr_t) "end", 3 } };
	char memory[64];

	assert_int_equal(buf_append(&conn->out, SPAN("head "), 100), 0);
	assert_int_equal(conn_send(conn, segments, 3, 100), 0);
	assert_false(conn_has_output(conn));
	assert_null(conn->out.data);
	pair_wait(scene->far, POLLIN);
	assert_int_equal(recv(scene->far, memory, sizeof(memory), 0), 13);
	assert_memory_equal(memory, "head body end", 13);
	assert_int_equal(conn->sent_bytes, 13);
}

/* Fills the connection until it takes no more; the bytes are 0, 1, 2, … modulo 251. */
static size_t fill(struct scene *scene, size_t segment_bytes, size_t max_kept)
{
	unsigned char segment[8192];
	size_t total = 0;

	while (!conn_is_blocked(&scene->conn)) {
		struct iovec one = { segment, segment_bytes };

		for (size_t i = 0; i < segment_bytes; i++)
			segment[i] = (unsigned char)((total + i) % 251);
		assert_int_equal(conn_send(&scene->conn, &one, 1, max_kept), 0);
		total += segment_bytes;
	}
	return total;
}

SCENE_TEST(bytes_that_the_kernel_refuses_are_kept_and_follow_in_order)
{
	struct scene *scene = *state;
	unsigned char memory[65536];
	size_t total;
	size_t got = 0;

	settle(scene);
	total = fill(scene, 7919, 8192);
	assert_true(buf_len(&scene->conn.out) > 0 && buf_len(&scene->conn.out) <= 7919);
	assert_true(conn_is_behind(&scene->conn));
	while (got < total) {
		ssize_t len = recv(scene->far, memory, sizeof(memory), MSG_DONTWAIT);

		if (len < 0) {
			assert_int_equal(errno, EAGAIN);
			if (conn_has_output(&scene->conn) && !scene->conn.can_write)
				wait_events(scene, 1);
			assert_int_equal(conn_flush(&scene->conn), 0);
			continue;
		}
		for (ssize_t i = 0; i < len; i++)
			assert_int_equal(memory[i], (got + (size_t)i) % 251);
		got += (size_t)len;
	}
	assert_int_equal(got, total);
	assert_null(scene->conn.out.data);
}

SCENE_TEST(more_than_may_be_kept_is_an_error_and_blocked_bytes_stay)
{
	static char more[65536];
	struct scene *scene = *state;
	struct iovec segment = { more, sizeof(more) };
	size_t kept;

	settle(scene);
	fill(scene, 8192, 8192);
	kept = buf_len(&scene->conn.out);
	assert_int_equal(conn_send(&scene->conn, &segment, 1, kept + sizeof(more) - 1), -ENOBUFS);
	assert_int_equal(buf_len(&scene->conn.out), kept);
	assert_int_equal(conn_send(&scene->conn, &segment, 1, kept + sizeof(more)), 0);
	assert_int_equal(buf_len(&scene->conn.out), kept + sizeof(more));
}

SCENE_TEST(without_memory_nothing_is_sent_twice)
{
	struct scene *scene = *state;

	settle(scene);
	while (scene->conn.can_write) {
		static char segment[65536];
		struct iovec one = { segment, sizeof(segment) };
		int error;

		mem_fail_nth(1);
		error = conn_send(&scene->conn, &one, 1, 1 << 20);
		mem_fail_nth(0);
		assert_true(error == 0 || error == -ENOMEM);
	}
	assert_int_equal(buf_len(&scene->conn.out), 0);
}

SCENE_TEST(a_peer_that_left_is_an_error_of_sending_and_what_it_said_is_still_read)
{
	struct scene *scene = *state;
	char memory[64];
	int error = 0;

	settle(scene);
	assert_int_equal(write(scene->far, "answer", 6), 6);
	close(scene->far);
	scene->far = -1;
	for (int i = 0; i < PAIR_WAIT_MS && !error; i++) {
		error = send_text(&scene->conn, "x", 100);
		usleep(1000);
	}
	assert_true(error == -EPIPE || error == -ECONNRESET);
	assert_int_equal(send_text(&scene->conn, "y", 100), error);
	assert_int_equal(conn_flush(&scene->conn), error);
	wait_events(scene, 1);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), 6);
}

/* ---- asking */

SCENE_TEST(an_idle_connection_is_silent_until_something_comes)
{
	struct scene *scene = *state;
	char memory[8];

	settle(scene);
	assert_true(conn_is_silent(&scene->conn));
	assert_int_equal(write(scene->far, "x", 1), 1);
	pair_wait(conn_fd(&scene->conn), POLLIN);
	assert_false(conn_is_silent(&scene->conn)); /* without any event */
	wait_events(scene, 1);
	assert_int_equal(conn_recv(&scene->conn, memory, 8), 1);
	assert_true(conn_is_silent(&scene->conn));
	assert_int_equal(buf_append(&scene->conn.in, SPAN("rest"), 10), 0);
	assert_false(conn_is_silent(&scene->conn));
	buf_done(&scene->conn.in);
	shutdown(scene->far, SHUT_WR);
	pair_wait(conn_fd(&scene->conn), POLLIN);
	assert_false(conn_is_silent(&scene->conn));
}

SCENE_TEST(acknowledged_bytes_are_those_of_the_payload)
{
	struct scene *scene = *state;
	char memory[64];
	int sides[2];
	struct conn unix_conn;

	settle(scene);
	assert_int_equal(conn_acked_bytes(&scene->conn), 0);
	assert_false(conn_is_behind(&scene->conn));
	assert_int_equal(send_text(&scene->conn, "0123456789", 100), 0);
	/* The answer of the peer carries its acknowledgement. */
	pair_wait(scene->far, POLLIN);
	assert_int_equal(recv(scene->far, memory, sizeof(memory), 0), 10);
	assert_int_equal(write(scene->far, "ok", 2), 2);
	wait_events(scene, 1);
	assert_int_equal(conn_acked_bytes(&scene->conn), 10);
	assert_int_equal(conn_acked_bytes(&scene->conn), scene->conn.sent_bytes);
	assert_false(conn_is_behind(&scene->conn));

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sides), 0);
	assert_int_equal(conn_open(&unix_conn, scene->loop, sides[0], scene_on_ready), 0);
	assert_int_equal(conn_acked_bytes(&unix_conn), UINT64_MAX);
	conn_close(&unix_conn, false);
	close(sides[1]);
}

/* A FIN that was sent before our bytes arrived does not acknowledge them: what a free repeat rests on. */
SCENE_TEST(a_fin_sent_before_our_bytes_arrived_acknowledges_none)
{
	struct scene *scene = *state;
	char memory[8];

	settle(scene);
	shutdown(scene->far, SHUT_WR);
	wait_events(scene, 1);
	assert_int_equal(conn_recv(&scene->conn, memory, 8), 0);
	assert_int_equal(conn_acked_bytes(&scene->conn), 0);
}

/* ---- ends */

SCENE_TEST(closing_sends_fin_or_reset_and_is_idempotent)
{
	struct scene *scene = *state;
	char byte;

	settle(scene);
	conn_close(&scene->conn, false);
	conn_close(&scene->conn, true);
	assert_false(conn_is_open(&scene->conn));
	assert_int_equal(recv(scene->far, &byte, 1, 0), 0);
}

SCENE_TEST(closing_hard_sends_a_reset)
{
	struct scene *scene = *state;
	char byte;

	settle(scene);
	conn_close(&scene->conn, true);
	pair_wait(scene->far, POLLERR);
	assert_int_equal(recv(scene->far, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
}

SCENE_TEST(shutting_down_ends_one_direction_once)
{
	struct scene *scene = *state;
	char memory[8];

	settle(scene);
	conn_shutdown(&scene->conn);
	conn_shutdown(&scene->conn);
	assert_true(scene->conn.is_write_shut);
	assert_int_equal(recv(scene->far, memory, 8, 0), 0);
	assert_int_equal(write(scene->far, "still", 5), 5);
	wait_events(scene, 1);
	assert_int_equal(conn_recv(&scene->conn, memory, 8), 5);
}

SCENE_TEST(an_event_that_was_fetched_before_the_close_is_not_reported)
{
	struct scene *scene = *state;

	settle(scene);
	assert_int_equal(write(scene->far, "x", 1), 1);
	conn_close(&scene->conn, false);
	play_for(scene->loop, 20);
	assert_int_equal(scene->calls, 1);
}

SCENE_TEST(a_descriptor_that_cannot_be_watched_is_closed)
{
	struct scene *scene = *state;
	struct conn conn;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(conn_open(&conn, scene->loop, fd, scene_on_ready), -EPERM);
	assert_false(conn_is_open(&conn));
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	conn_close(&conn, false);
}

/* A conn in the maps of the kernel lane, as far as conn_recv() looks: the record is this test's. */
struct mapped {
	struct sockmap_record record;
	struct sockmap sockmap;
	struct sockmap_worker worker;
	struct conn_sockmap place;
};

static void map_conn(struct conn *conn, struct mapped *mapped)
{
	memset(mapped, 0, sizeof(*mapped));
	mapped->sockmap.slots = (struct sockmap_slots){ .records = &mapped->record, .count = 1 };
	mapped->worker.sockmap = &mapped->sockmap;
	mapped->place.socket =
		(struct sockmap_socket){ .worker = &mapped->worker, .fd = conn_fd(conn), .is_source = true };
	timer_init(&mapped->place.retry, NULL);
	conn->sockmap = &mapped->place.socket;
}

/* "hello" has arrived, and the program has said what is wrong with it. */
static void let_integrity_error_arrive(struct scene *scene, struct mapped *mapped)
{
	settle(scene);
	map_conn(&scene->conn, mapped);
	assert_int_equal(write(scene->far, "hello", 5), 5);
	wait_events(scene, 1);
	mapped->record.kernel.passed_bytes = 5;
	mapped->record.kernel.integrity_error = SOCKMAP_REASON_INTEGRITY_GAP;
}

SCENE_TEST(bytes_of_a_broken_socket_are_an_error_and_stay_one)
{
	struct scene *scene = *state;
	struct mapped mapped;
	char memory[64];

	let_integrity_error_arrive(scene, &mapped);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), CONN_INTEGRITY_ERROR);
	assert_int_equal(scene->conn.error, CONN_INTEGRITY_ERROR);
	assert_int_equal(scene->conn.received_bytes, 0);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), CONN_INTEGRITY_ERROR);
	assert_int_equal(conn_check(&scene->conn), CONN_INTEGRITY_ERROR);
	assert_int_equal(conn_end_reason(scene->conn.error, END_CLIENT_RST), END_INTEGRITY_ERROR);
}

SCENE_TEST(an_end_or_a_silence_of_a_broken_socket_is_not_believed)
{
	struct scene *scene = *state;
	struct mapped mapped;
	char memory[64];

	let_integrity_error_arrive(scene, &mapped);
	assert_int_equal(recv(conn_fd(&scene->conn), memory, sizeof(memory), 0), 5);
	scene->conn.sockmap->consumed_bytes = 5;
	assert_false(conn_is_silent(&scene->conn));
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), CONN_INTEGRITY_ERROR);
	scene->conn.error = 0;
	shutdown(scene->far, SHUT_WR);
	wait_events(scene, 1);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), CONN_INTEGRITY_ERROR);
	assert_false(scene->conn.has_eof);
}

SCENE_TEST(a_sound_socket_in_the_maps_is_read_as_ever)
{
	struct scene *scene = *state;
	struct mapped mapped;
	char memory[64];

	let_integrity_error_arrive(scene, &mapped);
	mapped.record.kernel.integrity_error = SOCKMAP_REASON_NONE;
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), 5);
	assert_int_equal(conn_recv(&scene->conn, memory, sizeof(memory)), -EAGAIN);
	assert_int_equal(scene->conn.sockmap->consumed_bytes, 5);
	assert_true(conn_is_silent(&scene->conn));
}
