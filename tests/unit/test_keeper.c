/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/base/mem.h"
#include "user/restart/handoff_channel.h"
#include "user/restart/state.h"
#include "user/restart/inherited_fds.h"
#include "user/restart/symbols.h"
#include "user/net/listen.h"
#include "user/net/socket.h"

TEST(marks_stand_at_their_descriptors_and_nowhere_else)
{
	struct restart_state *restart_state = restart_state_create();

	assert_non_null(restart_state);
	conn_status_set(NULL, 3, CONN_STATUS_IDLE);
	conn_status_set(restart_state, -1, CONN_STATUS_IDLE);
	conn_status_set(restart_state, RESTART_DESCRIPTORS, CONN_STATUS_IDLE);
	conn_status_set(restart_state, 7, CONN_STATUS_IDLE);
	conn_status_set(restart_state, RESTART_DESCRIPTORS - 1, CONN_STATUS_TUNNEL);
	assert_int_equal(conn_status_of(restart_state, 6), CONN_STATUS_NONE);
	assert_int_equal(conn_status_of(restart_state, 7), CONN_STATUS_IDLE);
	assert_int_equal(conn_status_of(restart_state, RESTART_DESCRIPTORS - 1), CONN_STATUS_TUNNEL);
	assert_int_equal(conn_status_of(restart_state, RESTART_DESCRIPTORS), CONN_STATUS_NONE);
	assert_int_equal(conn_status_of(restart_state, -1), CONN_STATUS_NONE);
	assert_string_equal(conn_status_name(CONN_STATUS_HTTP2), "http2");
	restart_state_free(restart_state);
}

static bool names(const struct symbols *symbols, uintptr_t address, const char *want)
{
	struct text line;
	bool found;

	text_init(&line);
	symbols_name(symbols, address, &line);
	found = line.len >= strlen(want) && memmem(line.data, line.len, want, strlen(want)) != NULL;
	text_done(&line);
	return found;
}

TEST(an_address_has_the_name_of_its_function)
{
	struct symbols *symbols = symbols_open();

	assert_non_null(symbols);
	assert_true(names(symbols, (uintptr_t)names + 1, "names+0x1"));
	assert_true(names(symbols, (uintptr_t)restart_state_create, "restart_state_create+0x0"));
	assert_true(names(symbols, (uintptr_t)dlsym(RTLD_DEFAULT, "qsort"), "qsort"));
	assert_true(names(symbols, 16, "0x10"));
	assert_true(names(NULL, 16, "0x10"));
	symbols_free(symbols);
}

struct play {
	struct restart_state *restart_state;
	struct address address;
	int kept, pipe[2], listener[2], idle, busy, plain, peers[3];
};

static int connected(const struct play *play, int *ret_peer)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, &play->address.any, play->address.len) < 0)
		return -1;
	*ret_peer = -1;
	for (int i = 0; i < 2 && *ret_peer < 0; i++)
		*ret_peer = accept4(play->listener[i], NULL, NULL, SOCK_CLOEXEC);
	return fd;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* In a process of its own, whose descriptors may go. Its exit status is the line of what is wrong. */
#define WANT(condition)                                                                                      \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			_exit(__LINE__ % 250 + 1);                                                           \
	} while (0)

static void sort_what_is_left(struct play *play)
{
	struct inherited_fds inherited;
	struct address other;
	int fds[2] = { -1, -1 };

	WANT(inherited_fds_collect(&inherited, play->restart_state) == 0);
	WANT(is_open(play->kept) && !is_open(play->pipe[0]) && !is_open(play->busy) && !is_open(play->plain));
	WANT(is_open(play->idle) && inherited.client_count == 1 && inherited.listener_count == 2);
	WANT(play->restart_state->not_resumed[CONN_STATUS_REQUEST] == 1);
	WANT(conn_status_of(play->restart_state, play->idle) == CONN_STATUS_IDLE);
	WANT(conn_status_of(play->restart_state, play->busy) == CONN_STATUS_NONE);
	WANT(inherited.clients[0].fd == play->idle);
	WANT(address_port(&inherited.clients[0].local) == address_port(&play->address));
	address_parse(span_str("127.0.0.1:1"), &other);
	WANT(!inherited_fds_take_listeners(&inherited, &other, 2, fds));
	WANT(inherited_fds_take_listeners(&inherited, &play->address, 2, fds));
	WANT(fds[0] != fds[1] && is_open(fds[0]) && is_open(fds[1]));
	WANT(!inherited_fds_take_listeners(&inherited, &play->address, 2, fds));
	/* What failed before it took anything leaves all of it to the next one. */
	inherited_fds_leave(&inherited);
	WANT(inherited_fds_collect(&inherited, play->restart_state) == 0 && inherited.client_count == 1);
	/* One socket of two is of no use to a group of three, and goes. */
	WANT(!inherited_fds_take_listeners(&inherited, &play->address, 3, fds));
	WANT(!is_open(play->listener[0]) && !is_open(play->listener[1]));
	inherited_fds_done(&inherited, play->restart_state);
	WANT(!is_open(play->idle) && conn_status_of(play->restart_state, play->idle) == CONN_STATUS_NONE);
	_exit(0);
}

TEST(what_a_dead_process_has_left_is_sorted_by_what_it_is)
{
	struct play play = { .restart_state = restart_state_create() };
	int status;
	pid_t pid;

	assert_int_equal(pipe(play.pipe), 0);
	play.kept = dup(play.pipe[0]);
	close(play.pipe[0]);
	close(play.pipe[1]);
	for (int i = 0; i < 3; i++)
		play.peers[i] = -1;
	address_parse(span_str("127.0.0.1:0"), &play.address);
	assert_int_equal(net_listen_open_group(&play.address, 8, 0, 2, play.listener, &play.address), 0);
	close(play.listener[0]);
	close(play.listener[1]);
	assert_int_equal(restart_state_keep_descriptors(play.restart_state), 0);
	pid = fork();
	if (pid == 0) {
		/* The same numbers again, none of them kept. */
		WANT(net_listen_open_group(&play.address, 8, 0, 2, play.listener, &play.address) == 0);
		WANT(pipe(play.pipe) == 0);
		WANT((play.peers[0] = connected(&play, &play.idle)) >= 0);
		WANT((play.peers[1] = connected(&play, &play.busy)) >= 0);
		WANT((play.peers[2] = connected(&play, &play.plain)) >= 0);
		/* The other ends would go as well: they belong to somebody else. */
		for (int i = 0; i < 3; i++)
			play.restart_state->kept[play.restart_state->kept_count++] = play.peers[i];
		conn_status_set(play.restart_state, play.idle, CONN_STATUS_IDLE);
		conn_status_set(play.restart_state, play.busy, CONN_STATUS_REQUEST);
		sort_what_is_left(&play);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(play.kept);
	restart_state_free(play.restart_state);
}

TEST(without_memory_what_is_left_is_reset_but_the_channels_to_other_programs_stay)
{
	struct play play = { .restart_state = restart_state_create() };
	int status;
	pid_t pid;

	address_parse(span_str("127.0.0.1:0"), &play.address);
	assert_int_equal(restart_state_keep_descriptors(play.restart_state), 0);
	pid = fork();
	if (pid == 0) {
		struct inherited_fds inherited;

		WANT(net_listen_open_group(&play.address, 8, 0, 2, play.listener, &play.address) == 0);
		WANT((play.peers[0] = connected(&play, &play.idle)) >= 0);
		play.restart_state->kept[play.restart_state->kept_count++] = play.peers[0];
		conn_status_set(play.restart_state, play.idle, CONN_STATUS_IDLE);
		WANT(handoff_pair(&play.restart_state->new_process_fd, &play.pipe[0]) == 0);
		WANT(handoff_pair(&play.pipe[1], &play.restart_state->old_process_fd) == 0);
		mem_fail_nth(1);
		WANT(inherited_fds_collect(&inherited, play.restart_state) == -ENOMEM);
		mem_fail_nth(0);
		WANT(!is_open(play.idle) && !is_open(play.listener[0]) && !is_open(play.pipe[0]));
		WANT(is_open(play.restart_state->new_process_fd));
		WANT(is_open(play.restart_state->old_process_fd));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	restart_state_free(play.restart_state);
}

enum { STREAMS = 4 };

/* An entry as a worker leaves it. Ends the process where that is not possible. */
static struct restart_entry *keep_entry(const struct play *play, int client, int backend)
{
	struct restart_entry *entry = restart_entry(play->restart_state, client);

	WANT(entry != NULL);
	entry->backend_fd = backend;
	WANT(socket_cookie(client, &entry->client_cookie) == 0);
	WANT(socket_cookie(backend, &entry->backend_cookie) == 0);
	conn_status_set(play->restart_state, client, CONN_STATUS_TUNNEL);
	conn_status_set(play->restart_state, backend, CONN_STATUS_BACKEND);
	return entry;
}

static void sort_streams(struct play *play, const int client[STREAMS], const int backend[STREAMS])
{
	enum { CLAIMS, BUSY, SOUND, OTHER };
	struct inherited_fds inherited;

	keep_entry(play, client[SOUND], backend[SOUND]);
	atomic_store(&keep_entry(play, client[BUSY], backend[BUSY])->directions[1].is_busy, true);
	/* Both numbers were those of another stream, which is gone: of its backend, and of itself. */
	keep_entry(play, client[CLAIMS], backend[SOUND])->backend_cookie++;
	keep_entry(play, client[OTHER], backend[OTHER])->client_cookie++;
	WANT(client[CLAIMS] < client[SOUND]);
	WANT(inherited_fds_collect(&inherited, play->restart_state) == 0);
	WANT(inherited.stream_count == 1 && inherited.streams[0].fd == client[SOUND]);
	WANT(inherited.streams[0].backend_fd == backend[SOUND]);
	for (int i = 0; i < STREAMS; i++) {
		WANT(is_open(client[i]) == (i == SOUND) && is_open(backend[i]) == (i == SOUND));
		WANT(i == SOUND || conn_status_of(play->restart_state, client[i]) == CONN_STATUS_NONE);
	}
	WANT(play->restart_state->not_resumed[CONN_STATUS_TUNNEL] == 3);
	WANT(restart_entry_resumable(play->restart_state, client[SOUND]) != NULL);
	inherited_fds_done(&inherited, play->restart_state);
	WANT(!is_open(client[SOUND]) && !is_open(backend[SOUND]));
	WANT(restart_entry_resumable(play->restart_state, client[SOUND]) == NULL);
	_exit(0);
}

TEST(a_stream_is_kept_when_both_sockets_are_those_of_its_row_and_nothing_of_it_is_busy)
{
	struct play play = { .restart_state = restart_state_create() };
	int status;
	pid_t pid;

	address_parse(span_str("127.0.0.1:0"), &play.address);
	assert_int_equal(restart_state_keep_descriptors(play.restart_state), 0);
	pid = fork();
	if (pid == 0) {
		int client[STREAMS], backend[STREAMS], peer;

		WANT(net_listen_open_group(&play.address, 8, 0, 2, play.listener, &play.address) == 0);
		for (int i = 0; i < 2 * STREAMS; i++) {
			peer = connected(&play, i < STREAMS ? &client[i] : &backend[i - STREAMS]);
			WANT(peer >= 0);
			play.restart_state->kept[play.restart_state->kept_count++] = peer;
		}
		sort_streams(&play, client, backend);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	restart_state_free(play.restart_state);
}

static bool is_abort(int fd)
{
	struct linger linger;
	socklen_t len = sizeof(linger);

	return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff;
}

/* The old program's restart state is play->restart state. */
struct upgrade_play {
	struct play play;
	struct restart_state *new;
	int channel[2], client, backend, peers[2];
};

static struct upgrade_play upgrade_play(void)
{
	struct upgrade_play s = { .play.restart_state = restart_state_create(),
				  .new = restart_state_create() };
	struct restart_entry *entry;

	address_parse(span_str("127.0.0.1:0"), &s.play.address);
	assert_int_equal(net_listen_open_group(&s.play.address, 8, 0, 2, s.play.listener, &s.play.address),
			 0);
	s.client = connected(&s.play, &s.peers[0]);
	s.backend = connected(&s.play, &s.peers[1]);
	assert_int_equal(handoff_pair(&s.channel[0], &s.channel[1]), 0);
	entry = keep_entry(&s.play, s.client, s.backend);
	entry->text_bytes[2] = RESTART_TEXT_BYTES + 1;
	memset(s.play.restart_state->long_texts[s.client], 'x', RESTART_TEXT_BYTES + 1);
	return s;
}

static void upgrade_done(struct upgrade_play *s)
{
	int fds[] = { s->channel[0], s->channel[1], s->client,		 s->backend,
		      s->peers[0],   s->peers[1],   s->play.listener[0], s->play.listener[1] };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		socket_close(fds[i]);
	restart_state_free(s->play.restart_state);
	restart_state_free(s->new);
}

TEST(health_goes_over_the_channel_before_connections_and_is_ignored_behind_them)
{
	static char bytes[1 << 20];
	struct upgrade_play s = upgrade_play();
	int client, backend;
	struct buf got;

	buf_init(&got);
	memset(bytes, 'h', sizeof(bytes));
	assert_int_equal(handoff_receive_health(s.channel[1], 1, &got, sizeof(bytes)), -ETIME);
	assert_int_equal(handoff_send_health(s.channel[0], span_of(bytes, sizeof(bytes))), 0);
	assert_int_equal(handoff_send(s.channel[0], s.play.restart_state, s.client, -1), 0);
	assert_int_equal(handoff_send_health(s.channel[0], SPAN("late")), 0);
	assert_int_equal(handoff_receive_health(s.channel[1], 20000, &got, sizeof(bytes)), 0);
	assert_true(span_eq(buf_span(&got), span_of(bytes, sizeof(bytes))));
	/* The next message is a connection, and stays one. */
	assert_int_equal(handoff_receive_health(s.channel[1], 20000, &got, sizeof(bytes)), -EBADMSG);
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), 1);
	assert_int_equal(conn_status_of(s.new, client), CONN_STATUS_IDLE);
	socket_close(client);
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), -EAGAIN);
	assert_int_equal(buf_len(&got), sizeof(bytes));
	/* No more than the reader wants. */
	buf_consume(&got, buf_len(&got));
	assert_int_equal(handoff_send_health(s.channel[0], span_of(bytes, sizeof(bytes))), 0);
	assert_int_equal(handoff_receive_health(s.channel[1], 20000, &got, 100), 0);
	assert_int_equal(buf_len(&got), 100);
	buf_done(&got);
	upgrade_done(&s);
}

TEST(what_comes_over_the_channel_is_left_as_a_crashed_gateway_leaves_it)
{
	struct upgrade_play s = upgrade_play();
	const struct restart_entry *entry;
	int client, backend;

	assert_false(handoff_has_hello(s.channel[0]));
	assert_int_equal(handoff_say_hello(s.channel[1]), 0);
	assert_true(handoff_has_hello(s.channel[0]));
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), -EAGAIN);
	assert_int_equal(handoff_send(s.channel[0], s.play.restart_state, s.client, s.backend), 0);
	assert_int_equal(handoff_send(s.channel[0], s.play.restart_state, s.client, -1), 0);
	/* Should nobody take it, its peers get a reset. */
	assert_true(is_abort(s.client) && is_abort(s.backend));
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), 1);
	entry = restart_entry_resumable(s.new, client);
	assert_true(entry && entry->backend_fd == backend);
	assert_memory_equal(s.new->long_texts[client], s.play.restart_state->long_texts[s.client],
			    RESTART_TEXT_BYTES + 1);
	socket_close(client);
	socket_close(backend);
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), 1);
	assert_true(backend == -1 && conn_status_of(s.new, client) == CONN_STATUS_IDLE);
	socket_close(client);
	socket_close(s.channel[0]);
	s.channel[0] = -1;
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), 0);
	upgrade_done(&s);
}

TEST(a_channel_that_takes_nothing_leaves_the_stream_as_it_was)
{
	struct upgrade_play s = upgrade_play();
	int error = 0;

	while (!error)
		error = handoff_send(s.channel[0], s.play.restart_state, s.client, s.backend);
	assert_int_equal(error, -EAGAIN);
	assert_false(is_abort(s.client) || is_abort(s.backend));
	socket_close(s.channel[1]);
	s.channel[1] = -1;
	assert_int_equal(handoff_send(s.channel[0], s.play.restart_state, s.client, s.backend), -ECONNRESET);
	assert_false(is_abort(s.client) || is_abort(s.backend));
	upgrade_done(&s);
}

TEST(a_row_of_other_sockets_is_not_believed)
{
	struct upgrade_play s = upgrade_play();
	struct restart_entry *entry = restart_entry(s.play.restart_state, s.client);
	int client, backend;

	assert_true(entry != NULL);
	if (entry)
		entry->backend_cookie++;
	assert_int_equal(handoff_send(s.channel[0], s.play.restart_state, s.client, s.backend), 0);
	socket_close(s.client);
	s.client = -1;
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), -EBADMSG);
	assert_int_equal(recv(s.peers[0], &client, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	upgrade_done(&s);
}

TEST(what_does_not_fit_into_the_process_is_reset)
{
	struct upgrade_play s = upgrade_play();
	struct rlimit limit, none;
	int client, backend;

	assert_int_equal(handoff_send(s.channel[0], s.play.restart_state, s.client, s.backend), 0);
	socket_close(s.client);
	socket_close(s.backend);
	s.client = s.backend = -1;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), -EBADMSG);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (size_t i = 0; i < ARRAY_LEN(s.peers); i++) {
		assert_int_equal(recv(s.peers[i], &client, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
	}
	upgrade_done(&s);
}
