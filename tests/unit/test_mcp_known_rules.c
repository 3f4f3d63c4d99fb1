/* SPDX-License-Identifier: Apache-2.0 */
/* The service of MCP finds the rules of a request by a number, and refuses one whose rules are gone. */
#include "tests/lib/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/snapshot.h"
#include "policy/guard/mcp_access.h"
#include "user/base/check.h"
#include "user/mcp/hub.h"
#include "user/net/resolver.h"
#include "user/upstream/inner.h"

static struct snapshot *snapshot_of_service(void)
{
	static struct endpoint endpoint = { .text = SPAN("tools"), .is_inner = true };
	static const struct mcp_servers servers = { 0 };
	static struct backend backend = {
		.kind = BACKEND_MCP, .endpoint_list = &endpoint, .endpoint_count = 1, .mcp = &servers
	};
	struct snapshot *snapshot = snapshot_create();

	assert_non_null(snapshot);
	snapshot->backend_list = &backend;
	snapshot->backend_count = 1;
	return snapshot;
}

/* The status of the response to a GET without a session, whose internal field is this. */
static int status_of(const struct mcp_hub *hub, const char *field)
{
	const struct inner *inner = mcp_hub_inner(hub);
	char text[256] = "";
	int fds[2], len, status = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(inner->open(inner->context, SPAN("tools"), fds[1]), 0);
	len = snprintf(
		text, sizeof(text),
		"GET /mcp HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nheadgate-request: %s\r\n\r\n",
		field);
	assert_int_equal(write(fds[0], text, (size_t)len), len);
	memset(text, 0, sizeof(text));
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	assert_int_equal(sscanf(text, "HTTP/1.1 %d ", &status), 1);
	close(fds[0]);
	return status;
}

enum { READ = 400, REFUSED = 503 }; /* 400: without a session */

TEST(a_request_whose_rules_are_not_known_is_refused)
{
	struct resolver_options options = { .lookup.servers = "127.0.0.1:1" }; /* nobody */
	struct resolver *resolver = resolver_create(&options);
	struct mcp_access_table *table = mcp_access_table_create();
	struct mcp_hub *hub =
		mcp_hub_start(&(struct mcp_hub_options){ .resolver = resolver, .accesses = table });
	struct snapshot *snapshot = snapshot_of_service();
	const struct authorization_policy policy = { 0 };
	const struct expression_facts facts = { 0 };
	uint64_t number = mcp_access_table_put(table, mcp_access_create(&policy, &facts, NULL, snapshot));
	char field[64];

	assert_true(hub && mcp_hub_set_snapshot(hub, snapshot_ref(snapshot)) == 0);
	snprintf(field, sizeof(field), "id=1; access=%llu", (unsigned long long)number);
	assert_int_equal(status_of(hub, "id=1"), READ);
	assert_int_equal(status_of(hub, field), READ);
	assert_int_equal(status_of(hub, "id=1; access=0"), REFUSED);
	assert_int_equal(status_of(hub, "id=1; access="), REFUSED);
	assert_int_equal(status_of(hub, "id=1; access=18446744073709551616"), REFUSED);
	/* The stream has ended. */
	mcp_access_table_drop(table, number);
	assert_int_equal(status_of(hub, field), REFUSED);
	mcp_hub_stop(hub);
	mcp_access_table_free(table);
	resolver_free(resolver);
	snapshot_unref(snapshot);
}
