/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/restart/announced.h"
#include "user/restart/handoff_channel.h"

struct scene {
	struct restart_state *restart_state, *other;
	int fds[2]; /* the ends of a connection */
};

static int scene_make(void **state)
{
	static struct scene scene;

	scene.restart_state = restart_state_create();
	scene.other = restart_state_create();
	assert_true(scene.restart_state && scene.other);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, scene.fds), 0);
	*state = &scene;
	return 0;
}

static int scene_drop(void **state)
{
	struct scene *scene = *state;

	close(scene->fds[0]);
	close(scene->fds[1]);
	restart_state_free(scene->restart_state);
	restart_state_free(scene->other);
	return 0;
}

#define SCENE_TEST(name) TEST_WITH(name, scene_make, scene_drop)

static struct address address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(span_str(text), &address), 0);
	return address;
}

static void assert_recorded(struct restart_state *restart_state, int fd, const char *source,
			    const char *destination)
{
	struct address found[2], want[2] = { address_of(source), address_of(destination) };

	assert_int_equal(restart_announced_get(restart_state, fd, &found[0], &found[1]), 0);
	for (int i = 0; i < 2; i++)
		assert_true(address_eq(&found[i], &want[i]));
}

static void assert_unknown(struct restart_state *restart_state, int fd)
{
	struct address source, destination;

	assert_int_equal(restart_announced_get(restart_state, fd, &source, &destination), -ENOENT);
}

SCENE_TEST(what_was_announced_about_a_connection_is_kept)
{
	const struct scene *scene = *state;
	struct address source = address_of("192.0.2.1:4711"), destination = address_of("198.51.100.2:443");
	int fd = scene->fds[0];

	assert_unknown(scene->restart_state, fd);
	restart_announced_set(scene->restart_state, fd, &source, &destination);
	assert_recorded(scene->restart_state, fd, "192.0.2.1:4711", "198.51.100.2:443");
	source = address_of("[2001:db8::1]:4711");
	destination = address_of("[2001:db8::2]:443");
	restart_announced_set(scene->restart_state, fd, &source, &destination);
	assert_recorded(scene->restart_state, fd, "[2001:db8::1]:4711", "[2001:db8::2]:443");
	assert_unknown(scene->restart_state, scene->fds[1]);
	assert_unknown(NULL, fd);
}

SCENE_TEST(a_connection_without_addresses_is_not_an_unknown_one)
{
	const struct scene *scene = *state;
	struct address source, destination;

	restart_announced_set(scene->restart_state, scene->fds[0], NULL, NULL);
	assert_int_equal(restart_announced_get(scene->restart_state, scene->fds[0], &source, &destination),
			 0);
	assert_int_equal(source.len, 0);
}

SCENE_TEST(the_next_connection_of_a_descriptor_has_no_record)
{
	const struct scene *scene = *state;
	struct address source = address_of("192.0.2.1:4711");
	int next[2];

	restart_announced_set(scene->restart_state, scene->fds[0], &source, &source);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, next), 0);
	assert_int_equal(dup2(next[0], scene->fds[0]), scene->fds[0]);
	assert_unknown(scene->restart_state, scene->fds[0]);
	close(next[0]);
	close(next[1]);
}

SCENE_TEST(a_record_that_a_crash_has_broken_is_not_believed)
{
	const struct scene *scene = *state;
	struct address source = address_of("192.0.2.1:4711");
	int fd = scene->fds[0];

	restart_announced_set(scene->restart_state, fd, &source, &source);
	scene->restart_state->announced[fd].source.sin6_family = AF_UNIX;
	assert_unknown(scene->restart_state, fd);
	restart_announced_set(scene->restart_state, fd, &source, &source);
	scene->restart_state->announced[fd].cookie = 0;
	assert_unknown(scene->restart_state, fd);
}

/* The other program has other descriptors. */
SCENE_TEST(the_record_of_an_idle_client_goes_with_it_to_another_program)
{
	const struct scene *scene = *state;
	struct address source = address_of("192.0.2.1:4711"), destination = address_of("198.51.100.2:443");
	int channel[2], client_fd, backend_fd;

	assert_int_equal(handoff_pair(&channel[0], &channel[1]), 0);
	restart_announced_set(scene->restart_state, scene->fds[0], &source, &destination);
	assert_int_equal(handoff_send(channel[0], scene->restart_state, scene->fds[0], -1), 0);
	assert_int_equal(handoff_send(channel[0], scene->restart_state, scene->fds[1], -1), 0);
	assert_int_equal(handoff_receive(channel[1], scene->other, &client_fd, &backend_fd), 1);
	assert_recorded(scene->other, client_fd, "192.0.2.1:4711", "198.51.100.2:443");
	assert_int_equal(conn_status_of(scene->other, client_fd), CONN_STATUS_IDLE);
	close(client_fd);
	assert_int_equal(handoff_receive(channel[1], scene->other, &client_fd, &backend_fd), 1);
	assert_unknown(scene->other, client_fd);
	close(client_fd);
	close(channel[0]);
	close(channel[1]);
}
