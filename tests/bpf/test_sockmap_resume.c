/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway is killed, again and again; others that share its descriptors go on with its direction. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bpf/actor.h"
#include "tests/bpf/rig.h"
#include "tests/bpf/traffic.h"
#include "tests/lib/test.h"
#include "user/kernel/sockmap/resume.h"

enum {
	SEED = 7,
	TABLE = 1024,
	ENDS_MS = 120000,
	CRASHES = 60, /* that are survived */
	CRASHES_MAX = 1000,
};

/* What outlives a gateway. */
struct will {
	int sockmap_fds[SOCKMAP_DESCRIPTORS_MAX];
	uint32_t sockmap_count;
	int client, front, back, server;
	struct sockmap_handle front_slot, back_slot;
	volatile bool is_ready;
	volatile int resumed; /* 0, or why not */
	volatile bool has_ended; /* with EOF */
	volatile bool is_copied; /* small pieces were taken out: the lane was over before the crash */
	volatile uint32_t phases; /* bits: those that were resumed */
};

struct scene {
	const char *name;
	struct rig_buffers buffers;
	enum sockmap_framing framing;
	uint64_t bytes;
	uint32_t read_max, write_max, pause_every, pause_us;
	uint32_t life_us; /* at most */
};

static struct scene scenes[] = {
	{ "killed at any moment, an open gate loses nothing",
	  { 0 },
	  SOCKMAP_UNTIL_CLOSE,
	  1ull << 40,
	  60000,
	  60000,
	  64,
	  300,
	  30000 },
	{ "killed at any moment, a slow reader loses nothing",
	  { .back_send = 16384, .front_receive = 65536, .server_receive = 16384 },
	  SOCKMAP_UNTIL_CLOSE,
	  1ull << 40,
	  20000,
	  60000,
	  2,
	  200,
	  8000 },
	{ "killed at any moment, a body of known length loses nothing",
	  { .back_send = 65536, .front_receive = 65536 },
	  SOCKMAP_LENGTH,
	  1ull << 40,
	  60000,
	  60000,
	  4,
	  300,
	  10000 },
};

/* ---------------------------------------------------------------------------------------- lives */

static void serve_on(struct rig_stream *s, struct rig *rig, struct will *will)
{
	will->is_ready = true;
	while (s->up.end == RIG_RUNNING) {
		rig_turn(rig, 5);
		will->is_copied = s->up.is_copied;
	}
	will->has_ended = s->up.end == RIG_EOF;
	rig_stream_close(s);
	_exit(0);
}

static void first_life(struct will *will, const struct scene *scene)
{
	struct sockmap_direction_options options = { .framing = scene->framing,
						     .length_bytes = 1ull << 50,
						     .credit_bytes = 10000 };
	struct sockmap *sockmap = rig_sockmap(NULL);
	struct rig *rig = rig_create(sockmap);
	static struct rig_stream s;

	rig_stream_open(rig, &s, &scene->buffers);
	rig_stream_add(&s);
	rig_start(&s.up, &options);
	will->sockmap_count = sockmap_descriptors(sockmap, will->sockmap_fds);
	will->client = s.client;
	will->front = s.front;
	will->back = s.back;
	will->server = s.server;
	will->front_slot = s.front_socket.slot;
	will->back_slot = s.back_socket.slot;
	serve_on(&s, rig, will);
}

static void on_event(struct sockmap_direction *direction)
{
	rig_step((struct rig_direction *)((char *)direction - offsetof(struct rig_direction, direction)));
}

static void watch(struct rig *rig, struct rig_stream *s)
{
	struct epoll_event front = { .data.ptr = &s->down }, back = { .data.ptr = &s->up };

	s->rig = rig;
	s->up.stream = s->down.stream = s;
	s->up.source = s->down.target = &s->front_socket;
	s->up.target = s->down.source = &s->back_socket;
	s->up.direction.on_event = on_event;
	s->down.end = RIG_EOF;
	epoll_ctl(rig->epoll_fd, EPOLL_CTL_ADD, s->front, &front);
	epoll_ctl(rig->epoll_fd, EPOLL_CTL_ADD, s->back, &back);
}

static void next_life(struct will *will)
{
	const struct sockmap_options options = { .worker_count = 4, .max_credit_bytes = 1ull << 30 };
	static struct rig_stream s;
	struct sockmap *sockmap = NULL;
	struct text why;
	struct rig *rig;
	int error;

	text_init(&why);
	error = sockmap_inherit(will->sockmap_fds, will->sockmap_count, &options, &sockmap, &why);
	if (error) {
		will->resumed = error;
		_exit(1);
	}
	rig = rig_create(sockmap);
	s = (struct rig_stream){
		.client = will->client, .front = will->front, .back = will->back, .server = will->server
	};
	watch(rig, &s);
	error = sockmap_socket_resume(rig->worker, &s.front_socket, s.front, will->front_slot);
	if (!error)
		error = sockmap_socket_resume(rig->worker, &s.back_socket, s.back, will->back_slot);
	if (!error)
		error = sockmap_direction_resume(&s.up.direction, &s.front_socket, &s.back_socket);
	will->resumed = error;
	if (error)
		_exit(1);
	will->phases |= 1u << s.up.direction.state | (s.up.direction.sent_bytes ? 1u << 31 : 0);
	rig_step(&s.up);
	serve_on(&s, rig, will);
}

/* With this table of descriptors; the memory is a copy. */
static pid_t live(struct will *will, const struct scene *scene)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

	assert_true(pid >= 0);
	if (pid)
		return pid;
	if (scene)
		first_life(will, scene);
	next_life(will);
	_exit(1);
}

/* ---------------------------------------------------------------------------------------- crashes */

static bool open_fds[TABLE];

static void each_fd(void (*visit)(int fd, const struct will *will), const struct will *will)
{
	bool is_open[TABLE] = { false };
	DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;

	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && fd != dirfd(directory) && fd < TABLE)
			is_open[fd] = true;
	}
	closedir(directory);
	for (int fd = 0; fd < TABLE; fd++) {
		if (is_open[fd])
			visit(fd, will);
	}
}

static void note_open(int fd, const struct will *will)
{
	(void)will;
	open_fds[fd] = true;
}

static void close_left(int fd, const struct will *will)
{
	bool is_kept = open_fds[fd];

	for (uint32_t i = 0; will && i < will->sockmap_count; i++)
		is_kept |= fd == will->sockmap_fds[i];
	if (will)
		is_kept |= fd == will->client || fd == will->front || fd == will->back || fd == will->server;
	if (!is_kept)
		close(fd);
}

/* In a process of its own, which has copies of both ends: what comes out is what goes in. */
static pid_t act(const struct will *will, const struct scene *scene, int stop[2])
{
	int client = will->client, server = will->server;
	pid_t pid = fork();
	struct actor writer = { .shuts_down = true };
	struct actor reader = { .expects_eof = true,
				.pause_every = scene->pause_every,
				.pause_us = scene->pause_us };
	char byte;

	assert_true(pid >= 0);
	if (pid)
		return pid;
	close(stop[1]);
	close(will->front);
	close(will->back);
	actor_read(&reader, server, SEED, scene->bytes, scene->read_max);
	actor_write(&writer, client, SEED, scene->bytes, scene->write_max);
	/* The writer has written as much as it could when it is told to stop. */
	(void)!read(stop[0], &byte, 1);
	writer.bytes = 0;
	actor_join(&writer);
	actor_join(&reader);
	if (writer.error || reader.error || reader.wrong_at >= 0 || reader.done != writer.done)
		fprintf(stderr, "wrote %llu (%s), read %llu (%s), wrong at %lld\n",
			(unsigned long long)writer.done, strerror(writer.error),
			(unsigned long long)reader.done, strerror(reader.error), (long long)reader.wrong_at);
	_exit(writer.error || reader.error || reader.wrong_at >= 0 || reader.done != writer.done ||
	      !reader.saw_eof);
}

static void await(const volatile bool *flag)
{
	for (uint64_t until = now_ms() + 10000; !*flag && now_ms() < until;)
		usleep(200);
	assert_true(*flag);
}

/* Kills until one crash in the middle of a step ends the stream, or it is enough. Returns how many. */
static int kill_again_and_again(struct will *will, const struct scene *scene, pid_t *life, uint64_t *random)
{
	for (int crash = 1; crash <= CRASHES; crash++) {
		int status;

		usleep(random_u32(random) % scene->life_us);
		will->is_ready = false;
		kill(*life, SIGKILL);
		waitpid(*life, &status, 0);
		each_fd(close_left, will);
		*life = live(will, NULL);
		while (!will->is_ready && !will->resumed && waitpid(*life, &status, WNOHANG) == 0)
			usleep(200);
		if (will->resumed == -EBUSY || (will->resumed == -ENOENT && will->is_copied))
			return crash;
		assert_int_equal(will->resumed, 0);
		await(&will->is_ready);
	}
	return CRASHES;
}

static void crashes_lose_nothing(void **state)
{
	const struct scene *scene = *state;
	struct will *will =
		mmap(NULL, sizeof(*will), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t random = 5;
	int crashes = 0, lost = 0, status;
	uint32_t phases = 0;

	sockmap_free(rig_sockmap(NULL)); /* skips where there is no BPF */
	memset(open_fds, 0, sizeof(open_fds));
	each_fd(note_open, NULL);
	/* How often one hits a step in the middle is chance: as many are survived in any case. */
	while (crashes - lost < CRASHES) {
		int stop[2];
		pid_t life, actors;

		memset(will, 0, sizeof(*will));
		life = live(will, scene);
		await(&will->is_ready);
		assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
		actors = act(will, scene, stop);
		close(stop[0]);
		open_fds[stop[1]] = true;
		/* Theirs alone from here on. */
		close(will->client);
		close(will->server);
		will->client = will->server = -1;
		crashes += kill_again_and_again(will, scene, &life, &random);
		assert_true(crashes < CRASHES_MAX);
		open_fds[stop[1]] = false;
		close(stop[1]);
		phases |= will->phases;
		if (will->resumed) {
			lost++;
			kill(actors, SIGKILL);
			waitpid(actors, NULL, 0);
			kill(life, SIGKILL);
			waitpid(life, NULL, 0);
		} else {
			waitpid(actors, &status, 0);
			assert_int_equal(status, 0);
			if (scene->framing == SOCKMAP_UNTIL_CLOSE)
				await(&will->has_ended);
			kill(life, SIGKILL);
			waitpid(life, NULL, 0);
		}
		each_fd(close_left, NULL);
	}
	print_message("%d crashes, %d in the middle of a step, phases %x\n", crashes, lost, phases);
	munmap(will, sizeof(*will));
}

TEST_ROWS(crashes_lose_nothing, scenes);
