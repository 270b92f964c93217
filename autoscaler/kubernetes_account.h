/* SPDX-License-Identifier: Apache-2.0
 *
 * kubernetes_account: who we are to a Kubernetes API server, and where it is: from a kubeconfig, or
 * from the service account of the pod that we run in
 * (https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/).
 *
 * Read anew for each attempt, as tokens are replaced while we run. What a kubeconfig holds inline
 * (certificates, keys) stands in files in memory while the account lives.
 *
 * Threads: one account, one thread.
 */
#ifndef TW_AUTOSCALER_KUBERNETES_ACCOUNT_H
#define TW_AUTOSCALER_KUBERNETES_ACCOUNT_H

#include "autoscaler/means.h"

struct scale_account {
    struct tw_arena *arena;
    const char *server;                         /* https://host:port, no slash at its end */
    const char *ca_file, *cert_file, *key_file; /* NULL: the system's, none */
    const char *space;                          /* namespace; "default" when nobody says */
    char *authorization; /* "Bearer ...", NULL when a certificate is enough */
    bool made;           /* the token comes from a program and is kept */
    char name[256];      /* of the kept token */
    int files[3];        /* in memory; -1 = none */
};

/* target: of kind Kubernetes. Errors name the file and the cure. */
TW_MUST_CHECK enum tw_code scale_account_open(struct scale_means *means,
                                              const struct scale_target *target,
                                              struct scale_account *ret, struct tw_err *err);
void scale_account_close(struct scale_account *account);

#endif
