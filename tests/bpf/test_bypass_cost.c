/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that leave lane bypass because TCP costs less. */
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "tests/bpf/bypass_rig.h"
#include "tests/bpf/local_rig.h"
#include "tests/lib/test.h"
#include "user/kernel/common/tcp_progress.h"

static uint64_t tcp_received(int fd)
{
	struct tcp_progress_view view;

	assert_int_equal(tcp_progress_look(fd, &view), 0);
	return view.received_bytes;
}

/* The gateway lets both directions go on through TCP: nothing is lost, and nothing is overtaken. */
TEST(both_ends_leave_where_tcp_is_cheaper)
{
	struct local *local = local_rig_load(NULL);
	uint64_t left[LOCAL_REASON_COUNT];
	struct bypass_pair pair;
	struct bypass *bypass = &pair.bypass;

	pair_open(local, &pair, &(struct bypass_pair_options){ .is_backend = true });
	pair_send(pair.app, 1, 0, 1000);
	/* Bypassed bytes are unread: not now. */
	assert_false(bypass_receive_tcp(bypass, pair.own, 0));
	assert_false(bypass_receives_tcp(bypass));
	pair_send(pair.app, 1, 1000, 1000);
	assert_int_equal(bypass_received_bytes(bypass), 2000);
	assert_true(pair_expect(pair.own, 1, 0, 2000));
	assert_true(bypass_receive_tcp(bypass, pair.own, 2000));
	pair_send(pair.app, 1, 2000, 1000);
	/* That stays so while bytes of TCP wait. */
	assert_true(bypass_receive_tcp(bypass, pair.own, 2000));
	assert_int_equal(bypass_received_bytes(bypass), 2000);
	assert_true(pair_expect(pair.own, 1, 2000, 1000));
	assert_int_equal(tcp_received(pair.own), 1000);

	pair_send(pair.own, 2, 0, 1000);
	bypass_send_tcp(bypass);
	/* The first bytes are unread: TCP must not have the next ones before they are read. */
	assert_int_equal(send(pair.own, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	assert_false(bypass_leave(bypass));
	assert_true(pair_expect(pair.app, 2, 0, 1000));
	assert_int_equal(send(pair.own, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL), -1);
	assert_true(bypass_leave(bypass));
	pair_send(pair.own, 2, 1000, 1000);
	assert_true(pair_expect(pair.app, 2, 1000, 1000));
	assert_int_equal(tcp_received(pair.app), 1000);
	bypass_read_left(local, left);
	assert_int_equal(left[LOCAL_REASON_COST], 1);
	assert_int_equal(bypass_count(local), 0);
	/* It keeps its slots, which are no directions of lane direct. */
	assert_int_equal(local_count_directions(local), 0);
	pair_close(&pair);
	assert_int_equal(local_count_directions(local), 0);
	local_free(local);
}

/* Who sends with sendfile() is told apart from who does not. */
TEST(a_sender_of_files_is_known)
{
	struct local *local = local_rig_load(NULL);
	int file = memfd_create("file", 0);
	struct bypass_pair pair;
	off_t start = 0;

	assert_int_equal(ftruncate(file, 65536), 0);
	pair_open(local, &pair, &(struct bypass_pair_options){ .is_backend = true });
	pair_send(pair.app, 1, 0, 65536);
	assert_false(bypass_sends_files(&pair.bypass));
	assert_true(pair_expect(pair.own, 1, 0, 65536));
	assert_int_equal(sendfile(pair.app, file, &start, 65536), 65536);
	assert_true(bypass_sends_files(&pair.bypass));
	close(file);
	pair_close(&pair);
	local_free(local);
}
