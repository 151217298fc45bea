/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake-transport.h"

#include "cleanup.h"

/* --- configuration and identity ---------------------------------------------------------------------------------- */

struct config *
config_ref(struct config *config)
{
	return config;
}

void
config_unref(struct config **config)
{
	*config = NULL;
}

struct identity *
identity_ref(struct identity *identity)
{
	return identity;
}

void
identity_unref(struct identity **identity)
{
	*identity = NULL;
}

const char *
identity_client_cert(const struct identity *identity UNUSED, size_t index)
{
	return index == 0 ? ":Y2VydA==:" : NULL;
}

/* --- the transport ----------------------------------------------------------------------------------------------- */

static void
suspend(void *context)
{
	struct fake_transport *transport = context;

	pthread_mutex_lock(&transport->lock);
	transport->suspended++;
	pthread_mutex_unlock(&transport->lock);
}

static void
resume(void *context)
{
	struct fake_transport *transport = context;

	pthread_mutex_lock(&transport->lock);
	transport->resumed++;
	pthread_cond_signal(&transport->resumed_signal);
	pthread_mutex_unlock(&transport->lock);
}

const struct request_transport fake_transport_ops = {suspend, resume};

void
fake_transport_set_up(struct fake_transport *transport)
{
	*transport = (struct fake_transport){0};
	pthread_mutex_init(&transport->lock, NULL);
	pthread_cond_init(&transport->resumed_signal, NULL);
}

void
fake_transport_clear(struct fake_transport *transport)
{
	pthread_cond_destroy(&transport->resumed_signal);
	pthread_mutex_destroy(&transport->lock);
}

void
fake_transport_wait(struct fake_transport *transport)
{
	pthread_mutex_lock(&transport->lock);
	while (transport->resumed < transport->suspended)
		pthread_cond_wait(&transport->resumed_signal, &transport->lock);
	pthread_mutex_unlock(&transport->lock);
}

bool
fake_transport_is_suspended(struct fake_transport *transport)
{
	pthread_mutex_lock(&transport->lock);
	bool suspended = transport->resumed < transport->suspended;
	pthread_mutex_unlock(&transport->lock);
	return suspended;
}
