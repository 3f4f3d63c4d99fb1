/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/clock_ahead.h"
#include "tests/unit/play.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/core/values/tls_files.h"
#include "user/gateway/watch.h"

/* One configuration file in a directory of its own. */
struct scene {
	struct loop *loop;
	struct watch watch;
	struct config_source source;
	char folder[40];
	char path[64];
	unsigned int changes;
};

static void scene_write(const struct scene *scene, const char *text)
{
	char fresh[80];
	FILE *file;

	snprintf(fresh, sizeof(fresh), "%s.new", scene->path);
	file = fopen(fresh, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(fresh, scene->path), 0);
}

static void scene_open(struct scene *scene)
{
	*scene = (struct scene){ .loop = loop_create(16), .folder = "/tmp/headgate-test-XXXXXX" };
	assert_non_null(scene->loop);
	assert_non_null(mkdtemp(scene->folder));
	snprintf(scene->path, sizeof(scene->path), "%s/c.yaml", scene->folder);
	scene->source.path = scene->path;
	scene_write(scene, "one");
}

static void on_change(struct watch *watch)
{
	struct scene *scene = container_of(watch, struct scene, watch);

	scene->changes++;
	loop_stop(scene->loop);
}

static void scene_watch(struct scene *scene, uint64_t seen)
{
	assert_int_equal(watch_start(&scene->watch, scene->loop, &scene->source, 1, seen, on_change), 0);
}

static void scene_close(struct scene *scene)
{
	watch_stop(&scene->watch);
	loop_free(scene->loop);
	assert_int_equal(unlink(scene->path), 0);
	assert_int_equal(rmdir(scene->folder), 0);
}

/* Everything that is there is seen, and the time of quiet behind it is over. */
static void scene_rest(struct scene *scene)
{
	for (int i = 0; i < 3; i++) {
		play_turn(scene->loop);
		clock_put_forward(WATCH_QUIET_MS + 1);
	}
	play_turn(scene->loop);
}

TEST(an_edit_between_the_reading_and_the_watching_is_noticed)
{
	struct scene scene;
	uint64_t seen;

	scene_open(&scene);
	seen = watch_signature(&scene.source, 1);
	scene_write(&scene, "two");
	scene_watch(&scene, seen);
	play(scene.loop);
	assert_int_equal(scene.changes, 1);
	scene_rest(&scene);
	assert_int_equal(scene.changes, 1);
	scene_close(&scene);
}

TEST(files_that_stay_as_they_were_are_no_change)
{
	struct scene scene;
	char other[80];

	scene_open(&scene);
	scene_watch(&scene, watch_signature(&scene.source, 1));
	scene_rest(&scene);
	snprintf(other, sizeof(other), "%s/other", scene.folder);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(chmod(scene.path, 0600), 0);
	scene_rest(&scene);
	assert_int_equal(scene.changes, 0);
	assert_int_equal(rmdir(other), 0);
	scene_close(&scene);
}

static void touch(const char *folder, const char *name)
{
	char path[100];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs("x", file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(unlink(path), 0);
}

/* Whether what just happened makes the watch look at the files, now or soon. */
static bool wakes(struct scene *scene)
{
	play_turn(scene->loop);
	return timer_is_armed(&scene->watch.timer);
}

static void scene_settle(struct scene *scene)
{
	while (wakes(scene))
		clock_put_forward(WATCH_QUIET_MS);
}

TEST(a_neighbour_of_the_file_wakes_nobody)
{
	struct scene scene;

	scene_open(&scene);
	scene_watch(&scene, watch_signature(&scene.source, 1));
	scene_settle(&scene);
	touch(scene.folder, "other.yaml");
	touch(scene.folder, "notes.txt");
	assert_false(wakes(&scene));
	assert_int_equal(chmod(scene.path, 0600), 0);
	assert_true(wakes(&scene));
	scene_close(&scene);
}

TEST(in_a_directory_the_configuration_wakes_and_nothing_else)
{
	struct scene scene;

	scene_open(&scene);
	scene.source.path = scene.folder;
	scene_watch(&scene, watch_signature(&scene.source, 1));
	scene_settle(&scene);
	touch(scene.folder, "notes.txt");
	touch(scene.folder, ".c.yaml.swp");
	touch(scene.folder, ".hidden.yaml");
	assert_false(wakes(&scene));
	touch(scene.folder, "other.yaml");
	assert_true(wakes(&scene));
	scene_close(&scene);
}

static void link_to(const struct scene *scene, const char *target, const char *name)
{
	char path[100], fresh[104];

	snprintf(path, sizeof(path), "%s/%s", scene->folder, name);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	assert_int_equal(symlink(target, fresh), 0);
	assert_int_equal(rename(fresh, path), 0);
}

static void scene_folder(const struct scene *scene, const char *name, const char *text)
{
	char path[100];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", scene->folder, name);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/k.yaml", scene->folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void scene_remove(const struct scene *scene, const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "%s/%s", scene->folder, name);
	assert_int_equal(remove(path), 0);
}

/* As a volume of a ConfigMap does: k.yaml -> ..data/k.yaml, ..data -> ..1, which is swapped. */
TEST(a_link_on_the_way_to_a_file_is_watched_too)
{
	for (int is_directory = 0; is_directory < 2; is_directory++) {
		struct scene scene;
		char path[100];

		scene_open(&scene);
		scene_folder(&scene, "..1", "one");
		scene_folder(&scene, "..2", "another");
		link_to(&scene, "..1", "..data");
		link_to(&scene, "..data/k.yaml", "k.yaml");
		snprintf(path, sizeof(path), "%s/k.yaml", scene.folder);
		scene.source.path = is_directory ? scene.folder : path;
		scene_watch(&scene, watch_signature(&scene.source, 1));
		scene_settle(&scene);
		touch(scene.folder, "notes.txt");
		assert_false(wakes(&scene));
		link_to(&scene, "..2", "..data");
		play(scene.loop);
		assert_int_equal(scene.changes, 1);
		scene_remove(&scene, "k.yaml");
		scene_remove(&scene, "..data");
		scene_remove(&scene, "..1/k.yaml");
		scene_remove(&scene, "..2/k.yaml");
		scene_remove(&scene, "..1");
		scene_remove(&scene, "..2");
		scene_close(&scene);
	}
}

TEST(a_burst_of_edits_is_one_change_when_it_is_over)
{
	struct scene scene;

	scene_open(&scene);
	scene_watch(&scene, watch_signature(&scene.source, 1));
	clock_hold(true);
	for (int i = 0; i < 5; i++) {
		scene_write(&scene, "three");
		play_turn(scene.loop);
		clock_put_forward(WATCH_QUIET_MS - 1);
		play_turn(scene.loop);
		assert_int_equal(scene.changes, 0);
	}
	clock_put_forward(2);
	play_turn(scene.loop);
	assert_int_equal(scene.changes, 1);
	clock_hold(false);
	scene_rest(&scene);
	assert_int_equal(scene.changes, 1);
	scene_close(&scene);
}

TEST(a_burst_without_an_end_is_looked_into_all_the_same)
{
	struct scene scene;
	uint64_t lasted_ms = 0;

	scene_open(&scene);
	scene_watch(&scene, watch_signature(&scene.source, 1));
	scene_settle(&scene);
	clock_hold(true);
	for (; !scene.changes; lasted_ms += WATCH_QUIET_MS / 2) {
		assert_true(lasted_ms <= WATCH_MAX_MS + WATCH_QUIET_MS);
		clock_put_forward(WATCH_QUIET_MS / 2);
		scene_write(&scene, "three");
		play_turn(scene.loop);
	}
	assert_true(lasted_ms >= WATCH_MAX_MS);
	clock_hold(false);
	scene_close(&scene);
}

/* A key that the configuration names, through links as Kubernetes makes them. */
static void swap_link(const char *folder, const char *to)
{
	char fresh[100], link[100];

	snprintf(fresh, sizeof(fresh), "%s/..data_tmp", folder);
	snprintf(link, sizeof(link), "%s/..data", folder);
	assert_int_equal(symlink(to, fresh), 0);
	assert_int_equal(rename(fresh, link), 0);
}

static struct config_file file_of(const char *path)
{
	struct stat status;

	return (struct config_file){ span_str(path),
				     stat(path, &status) < 0 ? 0 : config_file_signature(&status) };
}

TEST(a_named_file_is_watched_through_links_and_by_who_may_read_it)
{
	char folder[] = "/tmp/headgate-test-XXXXXX", path[100], command[160];
	struct config_file file;
	struct scene scene;

	scene_open(&scene);
	assert_non_null(mkdtemp(folder));
	snprintf(command, sizeof(command), "cd %s && mkdir ..1 ..2 && echo 1 >..1/key && echo 2 >..2/key",
		 folder);
	assert_int_equal(system(command), 0);
	swap_link(folder, "..1");
	snprintf(path, sizeof(path), "%s/key", folder);
	assert_int_equal(symlink("..data/key", path), 0);
	scene_watch(&scene, watch_signature(&scene.source, 1));
	file = file_of(path);
	watch_follow(&scene.watch, &file, 1);
	scene_rest(&scene);
	assert_int_equal(scene.changes, 0);

	swap_link(folder, "..2");
	play(scene.loop);
	assert_int_equal(scene.changes, 1);

	file = file_of(path);
	watch_follow(&scene.watch, &file, 1);
	scene_rest(&scene);
	assert_int_equal(scene.changes, 1);
	assert_int_equal(chmod(path, 0600), 0);
	play(scene.loop);
	assert_int_equal(scene.changes, 2);

	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
	scene_close(&scene);
}

TEST(a_named_file_that_was_changed_while_it_was_read_or_is_not_there_yet_is_noticed)
{
	struct config_file file;
	struct scene scene;
	char path[100];

	scene_open(&scene);
	snprintf(path, sizeof(path), "%s/key", scene.folder);
	scene_watch(&scene, watch_signature(&scene.source, 1));
	file = file_of(path);
	assert_int_equal(file.signature, 0);
	watch_follow(&scene.watch, &file, 1);
	scene_rest(&scene);
	assert_int_equal(scene.changes, 0);
	assert_int_equal(symlink(scene.path, path), 0);
	play(scene.loop);
	assert_int_equal(scene.changes, 1);

	/* What the loader saw is older than what is there when it is followed. */
	watch_follow(&scene.watch, &file, 1);
	play(scene.loop);
	assert_int_equal(scene.changes, 2);
	assert_int_equal(unlink(path), 0);
	scene_close(&scene);
}
