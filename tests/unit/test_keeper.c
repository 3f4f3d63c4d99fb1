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
#include "user/restart/handoff_channel.h"
#include "user/restart/state.h"
#include "user/restart/inherited_fds.h"
#include "user/restart/symbols.h"
#include "user/net/listen.h"
#include "user/net/socket.h"

TEST(marks_stand_at_their_descriptors_and_nowhere_else)
{
	struct estate *estate = estate_create();

	assert_non_null(estate);
	estate_mark(NULL, 3, ESTATE_MARK_IDLE);
	estate_mark(estate, -1, ESTATE_MARK_IDLE);
	estate_mark(estate, ESTATE_DESCRIPTORS, ESTATE_MARK_IDLE);
	estate_mark(estate, 7, ESTATE_MARK_IDLE);
	estate_mark(estate, ESTATE_DESCRIPTORS - 1, ESTATE_MARK_TUNNEL);
	assert_int_equal(estate_mark_of(estate, 6), ESTATE_MARK_NONE);
	assert_int_equal(estate_mark_of(estate, 7), ESTATE_MARK_IDLE);
	assert_int_equal(estate_mark_of(estate, ESTATE_DESCRIPTORS - 1), ESTATE_MARK_TUNNEL);
	assert_int_equal(estate_mark_of(estate, ESTATE_DESCRIPTORS), ESTATE_MARK_NONE);
	assert_int_equal(estate_mark_of(estate, -1), ESTATE_MARK_NONE);
	assert_string_equal(estate_mark_name(ESTATE_MARK_HTTP2), "http2");
	estate_free(estate);
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
	assert_true(names(symbols, (uintptr_t)estate_create, "estate_create+0x0"));
	assert_true(names(symbols, (uintptr_t)dlsym(RTLD_DEFAULT, "qsort"), "qsort"));
	assert_true(names(symbols, 16, "0x10"));
	assert_true(names(NULL, 16, "0x10"));
	symbols_free(symbols);
}

struct play {
	struct estate *estate;
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
	struct inherited inherited;
	struct address other;
	int fds[2] = { -1, -1 };

	WANT(inherited_collect(&inherited, play->estate) == 0);
	WANT(is_open(play->kept) && !is_open(play->pipe[0]) && !is_open(play->busy) && !is_open(play->plain));
	WANT(is_open(play->idle) && inherited.client_count == 1 && inherited.listener_count == 2);
	WANT(play->estate->not_adopted[ESTATE_MARK_REQUEST] == 1);
	WANT(estate_mark_of(play->estate, play->idle) == ESTATE_MARK_IDLE);
	WANT(estate_mark_of(play->estate, play->busy) == ESTATE_MARK_NONE);
	WANT(inherited.clients[0].fd == play->idle);
	WANT(address_port(&inherited.clients[0].local) == address_port(&play->address));
	address_parse(span_str("127.0.0.1:1"), &other);
	WANT(!inherited_take_listeners(&inherited, &other, 2, fds));
	WANT(inherited_take_listeners(&inherited, &play->address, 2, fds));
	WANT(fds[0] != fds[1] && is_open(fds[0]) && is_open(fds[1]));
	WANT(!inherited_take_listeners(&inherited, &play->address, 2, fds));
	/* What failed before it took anything leaves all of it to the next one. */
	inherited_leave(&inherited);
	WANT(inherited_collect(&inherited, play->estate) == 0 && inherited.client_count == 1);
	/* One socket of two is of no use to a group of three, and goes. */
	WANT(!inherited_take_listeners(&inherited, &play->address, 3, fds));
	WANT(!is_open(play->listener[0]) && !is_open(play->listener[1]));
	inherited_done(&inherited, play->estate);
	WANT(!is_open(play->idle) && estate_mark_of(play->estate, play->idle) == ESTATE_MARK_NONE);
	_exit(0);
}

TEST(what_a_dead_process_has_left_is_sorted_by_what_it_is)
{
	struct play play = { .estate = estate_create() };
	int status;
	pid_t pid;

	assert_int_equal(pipe(play.pipe), 0);
	play.kept = dup(play.pipe[0]);
	close(play.pipe[0]);
	close(play.pipe[1]);
	for (int i = 0; i < 3; i++)
		play.peers[i] = -1;
	address_parse(span_str("127.0.0.1:0"), &play.address);
	assert_int_equal(net_listen_open_group(&play.address, 8, 2, play.listener, &play.address), 0);
	close(play.listener[0]);
	close(play.listener[1]);
	assert_int_equal(estate_keep_descriptors(play.estate), 0);
	pid = fork();
	if (pid == 0) {
		/* The same numbers again, none of them kept. */
		WANT(net_listen_open_group(&play.address, 8, 2, play.listener, &play.address) == 0);
		WANT(pipe(play.pipe) == 0);
		WANT((play.peers[0] = connected(&play, &play.idle)) >= 0);
		WANT((play.peers[1] = connected(&play, &play.busy)) >= 0);
		WANT((play.peers[2] = connected(&play, &play.plain)) >= 0);
		/* The other ends would go as well: they belong to somebody else. */
		for (int i = 0; i < 3; i++)
			play.estate->kept[play.estate->kept_count++] = play.peers[i];
		estate_mark(play.estate, play.idle, ESTATE_MARK_IDLE);
		estate_mark(play.estate, play.busy, ESTATE_MARK_REQUEST);
		sort_what_is_left(&play);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(play.kept);
	estate_free(play.estate);
}

enum { STREAMS = 4 };

/* A row as a worker leaves it. Ends the process where that is not possible. */
static struct estate_stream *keep_row(const struct play *play, int client, int backend)
{
	struct estate_stream *row = estate_stream(play->estate, client);

	WANT(row != NULL);
	row->backend_fd = backend;
	WANT(socket_cookie(client, &row->client_cookie) == 0);
	WANT(socket_cookie(backend, &row->backend_cookie) == 0);
	estate_mark(play->estate, client, ESTATE_MARK_TUNNEL);
	estate_mark(play->estate, backend, ESTATE_MARK_BACKEND);
	return row;
}

static void sort_streams(struct play *play, const int client[STREAMS], const int backend[STREAMS])
{
	enum { CLAIMS, BUSY, SOUND, OTHER };
	struct inherited inherited;

	keep_row(play, client[SOUND], backend[SOUND]);
	atomic_store(&keep_row(play, client[BUSY], backend[BUSY])->ways[1].is_busy, true);
	/* Both numbers were those of another stream, which is gone: of its backend, and of itself. */
	keep_row(play, client[CLAIMS], backend[SOUND])->backend_cookie++;
	keep_row(play, client[OTHER], backend[OTHER])->client_cookie++;
	WANT(client[CLAIMS] < client[SOUND]);
	WANT(inherited_collect(&inherited, play->estate) == 0);
	WANT(inherited.stream_count == 1 && inherited.streams[0].fd == client[SOUND]);
	WANT(inherited.streams[0].backend_fd == backend[SOUND]);
	for (int i = 0; i < STREAMS; i++) {
		WANT(is_open(client[i]) == (i == SOUND) && is_open(backend[i]) == (i == SOUND));
		WANT(i == SOUND || estate_mark_of(play->estate, client[i]) == ESTATE_MARK_NONE);
	}
	WANT(play->estate->not_adopted[ESTATE_MARK_TUNNEL] == 3);
	WANT(estate_adoptable(play->estate, client[SOUND]) != NULL);
	inherited_done(&inherited, play->estate);
	WANT(!is_open(client[SOUND]) && !is_open(backend[SOUND]));
	WANT(estate_adoptable(play->estate, client[SOUND]) == NULL);
	_exit(0);
}

TEST(a_stream_is_kept_when_both_sockets_are_those_of_its_row_and_nothing_of_it_is_busy)
{
	struct play play = { .estate = estate_create() };
	int status;
	pid_t pid;

	address_parse(span_str("127.0.0.1:0"), &play.address);
	assert_int_equal(estate_keep_descriptors(play.estate), 0);
	pid = fork();
	if (pid == 0) {
		int client[STREAMS], backend[STREAMS], peer;

		WANT(net_listen_open_group(&play.address, 8, 2, play.listener, &play.address) == 0);
		for (int i = 0; i < 2 * STREAMS; i++) {
			peer = connected(&play, i < STREAMS ? &client[i] : &backend[i - STREAMS]);
			WANT(peer >= 0);
			play.estate->kept[play.estate->kept_count++] = peer;
		}
		sort_streams(&play, client, backend);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	estate_free(play.estate);
}

static bool is_abort(int fd)
{
	struct linger linger;
	socklen_t len = sizeof(linger);

	return getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0 && linger.l_onoff;
}

/* The old program's estate is play->estate. */
struct upgrade_play {
	struct play play;
	struct estate *new;
	int channel[2], client, backend, peers[2];
};

static struct upgrade_play upgrade_play(void)
{
	struct upgrade_play s = { .play.estate = estate_create(), .new = estate_create() };
	struct estate_stream *row;

	address_parse(span_str("127.0.0.1:0"), &s.play.address);
	assert_int_equal(net_listen_open_group(&s.play.address, 8, 2, s.play.listener, &s.play.address), 0);
	s.client = connected(&s.play, &s.peers[0]);
	s.backend = connected(&s.play, &s.peers[1]);
	assert_int_equal(handoff_pair(&s.channel[0], &s.channel[1]), 0);
	row = keep_row(&s.play, s.client, s.backend);
	row->text_bytes[2] = ESTATE_TEXT_BYTES + 1;
	memset(s.play.estate->long_texts[s.client], 'x', ESTATE_TEXT_BYTES + 1);
	return s;
}

static void upgrade_done(struct upgrade_play *s)
{
	int fds[] = { s->channel[0], s->channel[1], s->client,		 s->backend,
		      s->peers[0],   s->peers[1],   s->play.listener[0], s->play.listener[1] };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		socket_close(fds[i]);
	estate_free(s->play.estate);
	estate_free(s->new);
}

TEST(what_comes_over_the_channel_is_left_as_a_crashed_gateway_leaves_it)
{
	struct upgrade_play s = upgrade_play();
	const struct estate_stream *row;
	int client, backend;

	assert_false(handoff_has_hello(s.channel[0]));
	assert_int_equal(handoff_say_hello(s.channel[1]), 0);
	assert_true(handoff_has_hello(s.channel[0]));
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), -EAGAIN);
	assert_int_equal(handoff_send(s.channel[0], s.play.estate, s.client, s.backend), 0);
	assert_int_equal(handoff_send(s.channel[0], s.play.estate, s.client, -1), 0);
	/* Should nobody take it, its peers get a reset. */
	assert_true(is_abort(s.client) && is_abort(s.backend));
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), 1);
	row = estate_adoptable(s.new, client);
	assert_true(row && row->backend_fd == backend);
	assert_memory_equal(s.new->long_texts[client], s.play.estate->long_texts[s.client],
			    ESTATE_TEXT_BYTES + 1);
	socket_close(client);
	socket_close(backend);
	assert_int_equal(handoff_receive(s.channel[1], s.new, &client, &backend), 1);
	assert_true(backend == -1 && estate_mark_of(s.new, client) == ESTATE_MARK_IDLE);
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
		error = handoff_send(s.channel[0], s.play.estate, s.client, s.backend);
	assert_int_equal(error, -EAGAIN);
	assert_false(is_abort(s.client) || is_abort(s.backend));
	socket_close(s.channel[1]);
	s.channel[1] = -1;
	assert_int_equal(handoff_send(s.channel[0], s.play.estate, s.client, s.backend), -ECONNRESET);
	assert_false(is_abort(s.client) || is_abort(s.backend));
	upgrade_done(&s);
}

TEST(a_row_of_other_sockets_is_not_believed)
{
	struct upgrade_play s = upgrade_play();
	int client, backend;

	estate_stream(s.play.estate, s.client)->backend_cookie++;
	assert_int_equal(handoff_send(s.channel[0], s.play.estate, s.client, s.backend), 0);
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

	assert_int_equal(handoff_send(s.channel[0], s.play.estate, s.client, s.backend), 0);
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
