/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/verify.h"

#include <errno.h>

#include "policy/expression/expression_json.h"
#include "user/auth/password_checker.h"
#include "user/base/clock.h"
#include "user/base/mem.h"
#include "user/client/client_peer.h"
#include "user/phase/guard_call.h"
#include "user/phase/held_body.h"

/* A question about a password. It may outlive its stream, and asks the worker for it. */
struct verify_question {
	struct password_question password;
	struct proxy *proxy; /* borrowed */
	uint64_t stream; /* handle */
};

static int verdict_of(enum password_verdict verdict)
{
	switch (verdict) {
	case PASSWORD_RIGHT:
		return GUARD_PASS;
	case PASSWORD_WRONG:
		return GUARD_REFUSE;
	case PASSWORD_FAILED:
		break;
	}
	return -ENOMEM;
}

static void question_free(struct verify_question *question)
{
	password_question_wipe(&question->password);
	hg_free(question);
}

static void question_on_verdict(struct message *message, void *context)
{
	struct password_question *password = container_of(message, struct password_question, message);
	struct verify_question *question = container_of(password, struct verify_question, password);
	struct proxy *proxy = question->proxy;
	struct stream *stream = slab_find(proxy->streams, question->stream);
	int verdict = verdict_of(password->verdict);
	bool is_asked = stream && stream->exchange && stream->exchange->question == question;

	(void)context;
	question_free(question);
	if (!is_asked)
		return;
	stream->exchange->question = NULL;
	if (stream->state != STREAM_GUARD)
		return;
	stream->exchange->verdict = verdict;
	stream->exchange->has_verdict = true;
	proxy->driver->run(stream, STEP_GUARD);
}

/* Whose share of the queue it takes; not an IP address: that of all such clients together. */
static uint64_t owner_of(const struct stream *stream)
{
	uint8_t owner[ADDRESS_OWNER_BYTES];
	struct address address;
	struct siphash hash;

	client_peer_address(stream->client, &stream->exchange->head.fields, &address);
	siphash_start(&hash, &stream->proxy->shared->hash_key);
	siphash_add(&hash, span_of(owner, address.len ? address_owner(&address, owner) : 0));
	return siphash_end(&hash).low;
}

static int password_ask(struct stream *stream, struct verify_question *question, const struct htpasswd *users,
			struct span name, struct span password)
{
	struct password_checker *checker = stream->proxy->shared->passwords;
	struct password_question *ask = &question->password;

	if (!checker)
		return -ENOMEM;
	if (!password_question_init(checker, ask, users, name, password))
		return GUARD_REFUSE;
	if (password_checker_knows(checker, ask, clock_now_ms()))
		return GUARD_PASS;
	ask->message.run = question_on_verdict;
	ask->mailbox = stream->proxy->mailbox;
	question->proxy = stream->proxy;
	question->stream = stream->handle;
	return password_checker_submit(checker, ask, owner_of(stream)) < 0 ? -EBUSY : GUARD_WAIT;
}

static int verify_password(void *context, const struct htpasswd *users, struct span name,
			   struct span password)
{
	struct stream *stream = context;
	struct exchange *exchange = stream->exchange;
	struct verify_question *question;
	int result;

	if (exchange->question)
		return GUARD_WAIT;
	if (exchange->has_verdict) {
		exchange->has_verdict = false;
		return exchange->verdict;
	}
	question = hg_calloc(1, sizeof(*question));
	if (!question)
		return -ENOMEM;
	result = password_ask(stream, question, users, name, password);
	if (result == GUARD_WAIT)
		exchange->question = question;
	else
		question_free(question);
	return result;
}

/*
 * What expressions see of a token, made once. Claims that readers could read differently are refused: a rule
 * could see others than the backend.
 */
static enum jwt_fault claims_tree(struct jwt_verifier *verifier, struct jwt_claims *claims)
{
	struct expression_value *tree;
	int error;

	if (claims->tree)
		return JWT_GOOD;
	tree = arena_take(&claims->arena, sizeof(*tree));
	error = tree ? expression_json(claims->json, jwt_verifier_checker(verifier), &claims->arena, tree)
		     : -ENOMEM;
	if (error) {
		/* The token stays in the cache, and each request with it comes here again. */
		arena_reset(&claims->arena);
		return error == -ENOMEM ? JWT_MEMORY : JWT_MALFORMED;
	}
	claims->tree = tree;
	return JWT_GOOD;
}

/* NULL: no memory. */
static struct jwt_verifier *tokens_of(struct proxy *proxy)
{
	if (!proxy->tokens)
		proxy->tokens = jwt_verifier_create(&proxy->shared->hash_key);
	return proxy->tokens;
}

int verify_json(struct proxy *proxy, struct span text, struct arena *arena,
		const struct expression_value **ret)
{
	struct expression_value *tree = arena_take(arena, sizeof(*tree));
	int error;

	if (!tree || !tokens_of(proxy))
		return -ENOMEM;
	if (!expression_json_is_small(text))
		return -E2BIG;
	error = expression_json(text, jwt_verifier_checker(proxy->tokens), arena, tree);
	*ret = error ? NULL : tree;
	return error == -ENOMEM ? error : 0;
}

static int read_json(void *context, struct span text, const struct expression_value **ret)
{
	struct stream *stream = context;

	return verify_json(stream->proxy, text, &stream->exchange->arena, ret);
}

static enum jwt_fault verify_token(void *context, const struct jwt_providers *providers, struct span token,
				   struct jwt_claims **ret_claims)
{
	struct stream *stream = context;
	struct proxy *proxy = stream->proxy;
	enum jwt_fault fault;

	*ret_claims = NULL;
	if (!tokens_of(proxy))
		return JWT_MEMORY;
	fault = jwt_verify(proxy->tokens, providers, token, proxy_wall_us(proxy) / US_PER_S, ret_claims);
	if (fault == JWT_GOOD)
		fault = claims_tree(proxy->tokens, *ret_claims);
	if (fault != JWT_GOOD) {
		jwt_claims_unref(*ret_claims);
		*ret_claims = NULL;
	}
	return fault;
}

struct guard_verifier verify_for(struct stream *stream)
{
	return (struct guard_verifier){ stream,		 verify_password, verify_token, guard_call_start,
					guard_call_keep, held_body_get,	  read_json };
}
