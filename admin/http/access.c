/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/access.h"

#include <errno.h>

#include "policy/guard/authenticate.h"
#include "user/base/mem.h"

/* A password that is being verified; it may outlive the connection. */
struct access_wait {
	struct admin_ticket *ticket;
	void (*again)(void *context, struct admin_conn *conn);
	void *context;
};

/* What the guard asks. */
struct access_question {
	struct admin_conn *conn;
	const struct htpasswd *users;
	struct span name, password;
};

static void on_verdict(void *argument, int verdict)
{
	struct access_wait *wait = argument;
	struct admin_conn *conn = admin_ticket_redeem(wait->ticket);
	struct access_wait kept = *wait;

	hg_free(wait);
	if (!conn)
		return;
	conn->verdict = verdict;
	conn->has_verdict = true;
	kept.again(kept.context, conn);
}

static int ask_password(void *context, const struct htpasswd *users, struct span name, struct span password)
{
	struct access_question *question = context;

	if (question->conn->has_verdict) {
		question->conn->has_verdict = false;
		return question->conn->verdict;
	}
	question->users = users;
	question->name = name;
	question->password = password;
	return GUARD_WAIT;
}

static void wait_for_password(const struct access_request *request, const struct access_question *question)
{
	const struct admin_hooks *hooks = request->hooks;
	struct access_wait *wait = hooks->verify_password ? hg_calloc(1, sizeof(*wait)) : NULL;

	if (wait)
		wait->ticket = admin_ticket_take(request->conn);
	if (!wait || !wait->ticket) {
		hg_free(wait);
		admin_conn_say(request->conn, 503, "the password could not be verified\n");
		return;
	}
	wait->again = request->again;
	wait->context = request->context;
	hooks->verify_password(hooks->context, question->users, question->name, question->password,
			       request->conn->peer_hash, on_verdict, wait);
}

/* The reasons are those of the guards; a browser asks for a password because of the field. */
static void refuse(const struct access_request *request, const struct guard_answer *guard)
{
	struct admin_answer answer = { .status = guard->status };
	const struct field *challenge = fields_find(&guard->fields, SPAN("www-authenticate"));

	text_init(&answer.body);
	text_add(&answer.body, guard->body);
	text_char(&answer.body, '\n');
	if (challenge)
		answer.challenge = challenge->value;
	admin_conn_answer(request->conn, &answer);
}

static int check(const struct static_config *config, const struct guard_facts *facts,
		 struct guard_answer *answer)
{
	return config->admin_basic ? basic_auth_check(config->admin_basic, facts, answer)
				   : api_key_check(config->admin_key, facts, answer);
}

static bool check_credential(const struct access_request *request, const struct static_config *config)
{
	struct access_question question = { .conn = request->conn };
	const struct guard_verifier verifier = { .context = &question, .password = ask_password };
	struct guard_identity identity = { 0 };
	const struct guard_facts facts = { .head = request->head,
					   .identity = &identity,
					   .verifier = &verifier };
	struct guard_answer answer = { 0 };
	int verdict;

	fields_init(&answer.fields, &request->conn->http.arena);
	verdict = check(config, &facts, &answer);
	/* After a reload the check may not have asked for it: it is not for the next request. */
	request->conn->has_verdict = false;
	switch (verdict) {
	case GUARD_PASS:
		return true;
	case GUARD_WAIT:
		wait_for_password(request, &question);
		return false;
	case GUARD_REFUSE:
		refuse(request, &answer);
		return false;
	default:
		admin_conn_say(request->conn, 500, "the credential could not be verified\n");
		return false;
	}
}

bool access_check(const struct access_request *request)
{
	const struct admin_hooks *hooks = request->hooks;
	const struct snapshot *snapshot = hooks->snapshot(hooks->context);
	enum http_method method = request->head->method;

	if (request->conn->is_local)
		return true;
	if (snapshot && (snapshot->config.admin_basic || snapshot->config.admin_key))
		return check_credential(request, &snapshot->config);
	if (method == METHOD_GET || method == METHOD_HEAD)
		return true;
	admin_conn_say(request->conn, 403,
		       "changes from another host need a credential: configure config.adminAuth, or send the "
		       "request on the gateway's host\n");
	return false;
}
