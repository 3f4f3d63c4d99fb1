/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/pair.h"
#include "tests/unit/play.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "config/snapshot.h"
#include "tests/lib/alloc.h"
#include "user/net/listen.h"
#include "user/worker/worker_ports.h"

/* A worker with one port, without room for a connection: each is accepted, counted and refused. */
struct scene {
	struct proxy proxy;
	struct proxy_shared shared;
	struct counters counters;
	struct worker_ports ports;
	struct snapshot snapshot;
	struct bind bind;
	struct lease lease;
	struct worker_listen listen;
	struct address address;
	struct proxy_counts counts;
	unsigned int closed;
};

static void on_closed(struct worker_ports *ports)
{
	struct scene *scene = container_of(ports, struct scene, ports);

	scene->closed++;
	loop_stop(scene->proxy.loop);
}

static void scene_open(struct scene *scene, uint32_t sources)
{
	struct address any = pair_loopback();
	int fds[2];

	*scene = (struct scene){ .bind = { .protocol = BIND_TCP } };
	scene->proxy.loop = loop_create(sources);
	assert_non_null(scene->proxy.loop);
	scene->proxy.counters = &scene->counters;
	scene->proxy.shared = &scene->shared;
	scene->proxy.lease = &scene->lease;
	list_init(&scene->proxy.idle_clients);
	scene->lease = (struct lease){ .snapshot = &scene->snapshot, .refs = 1 };
	scene->snapshot.bind_list = &scene->bind;
	scene->snapshot.bind_count = 1;
	worker_ports_init(&scene->ports, &scene->proxy, -1, on_closed);
	/* The second of a group is bound to a port by its number, as all ports of a configuration are. */
	assert_int_equal(net_listen_open_group(&any, 16, 0, 2, fds, &scene->address), 0);
	close(fds[0]);
	scene->listen.fd = fds[1];
	scene->listen.counts = &scene->counts;
	scene->counts.sockets = 1;
	scene->bind.address = scene->listen.address = scene->address;
}

static void scene_apply(struct scene *scene)
{
	assert_int_equal(worker_ports_prepare(&scene->listen, 1), 0);
	worker_ports_apply(&scene->ports, &scene->listen, 1);
	worker_ports_release(&scene->listen, 1);
	scene->listen.fd = -1;
}

static void scene_close(struct scene *scene)
{
	worker_ports_done(&scene->ports);
	loop_free(scene->proxy.loop);
}

/* What connect(2) says: 0 or -errno. */
static int knock(const struct scene *scene)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = connect(fd, &scene->address.any, scene->address.len) < 0 ? -errno : 0;

	close(fd);
	return result;
}

static void assert_serves(struct scene *scene)
{
	uint64_t before = counter_get(&scene->counters, COUNTER_ACCEPTED);

	assert_int_equal(knock(scene), 0);
	for (int i = 0; i < PAIR_WAIT_MS && counter_get(&scene->counters, COUNTER_ACCEPTED) == before; i++)
		play_for(scene->proxy.loop, 1);
	assert_int_equal(counter_get(&scene->counters, COUNTER_ACCEPTED), before + 1);
}

static void take_the_only_source(struct scene *scene, struct loop_source *source)
{
	loop_source_init(source, eventfd(0, EFD_CLOEXEC), NULL);
	assert_int_equal(loop_source_add(scene->proxy.loop, source, EPOLLIN), 0);
}

static void give_the_only_source(struct scene *scene, struct loop_source *source)
{
	loop_source_remove(scene->proxy.loop, source);
	close(source->fd);
}

TEST(a_port_that_cannot_be_opened_refuses_until_the_next_configuration)
{
	struct loop_source source;
	struct scene scene;

	scene_open(&scene, 1);
	take_the_only_source(&scene, &source);
	scene_apply(&scene);
	assert_int_equal(counter_get(&scene.counters, COUNTER_LISTEN_FAILURES), 1);
	assert_int_equal(knock(&scene), -ECONNREFUSED);
	scene_apply(&scene);
	assert_int_equal(knock(&scene), -ECONNREFUSED);
	give_the_only_source(&scene, &source);
	scene_apply(&scene);
	assert_serves(&scene);
	assert_int_equal(counter_get(&scene.counters, COUNTER_LISTEN_FAILURES), 1);
	scene_close(&scene);
}

TEST(a_port_that_cannot_be_opened_is_tried_again_by_itself)
{
	struct loop_source source;
	struct scene scene;
	int result = -ECONNREFUSED;

	scene_open(&scene, 1);
	take_the_only_source(&scene, &source);
	scene_apply(&scene);
	give_the_only_source(&scene, &source);
	for (int i = 0; i < PAIR_WAIT_MS && result < 0; i++) {
		play_for(scene.proxy.loop, 1);
		result = knock(&scene);
	}
	assert_int_equal(result, 0);
	scene_close(&scene);
}

TEST(a_port_that_was_never_opened_can_be_removed_and_closed)
{
	struct loop_source source;
	struct scene scene;

	scene_open(&scene, 1);
	take_the_only_source(&scene, &source);
	scene_apply(&scene);
	worker_ports_close(&scene.ports);
	play(scene.proxy.loop);
	assert_int_equal(scene.closed, 1);
	worker_ports_flush_removed(&scene.ports, NULL, 0);
	worker_ports_apply(&scene.ports, NULL, 0);
	assert_true(list_is_empty(&scene.ports.list));
	give_the_only_source(&scene, &source);
	scene_close(&scene);
}

TEST(a_closing_port_serves_what_has_begun_and_refuses_afterwards)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_apply(&scene);
	assert_serves(&scene);
	assert_int_equal(knock(&scene), 0);
	worker_ports_close(&scene.ports);
	assert_int_equal(scene.closed, 0);
	play(scene.proxy.loop);
	assert_int_equal(scene.closed, 1);
	assert_int_equal(counter_get(&scene.counters, COUNTER_ACCEPTED), 2);
	assert_int_equal(knock(&scene), -ECONNREFUSED);
	scene_close(&scene);
}

TEST(a_stop_ends_the_grace)
{
	struct scene scene;

	scene_open(&scene, 4);
	scene_apply(&scene);
	worker_ports_close(&scene.ports);
	worker_ports_stop(&scene.ports);
	assert_int_equal(knock(&scene), -ECONNREFUSED);
	play_for(scene.proxy.loop, 200);
	assert_int_equal(scene.closed, 0);
	scene_close(&scene);
}

static int prepare(void *context)
{
	struct worker_listen listens[3] = { { .fd = -1 } };
	int error = worker_ports_prepare(listens, ARRAY_LEN(listens));

	(void)context;
	if (!error)
		worker_ports_release(listens, ARRAY_LEN(listens));
	return error;
}

TEST(each_allocation_may_fail)
{
	assert_int_equal(alloc_fail_each(prepare, NULL), 6);
}
