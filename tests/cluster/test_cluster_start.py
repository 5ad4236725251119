"""How a cluster starts, whom it refuses, and how it is stopped."""

import signal
import socket
import subprocess

import pytest

import cluster as clusters
from cluster import write_model
from status import metric

SERVER, OTHER_SERVER = ("ps", 0), ("ps", 1)
CHIEF, WORKER = ("worker", 0), ("worker", 1)
ENDLESS = {"epoch_number": 1_000_000}


def check_refused(job, task, *texts, exit_code=1):
    """A sentence in its log, not a crash."""
    assert job.exit_code(task) == exit_code, job.logs()
    for text in texts:
        assert text in job.log(task), job.logs()


# Start --------------------------------------------------------------------------------------------


def test_any_order_with_names(story, cluster):
    """Two jobs side by side: in one the chief is late, in the other a server and a worker."""
    without_chief = cluster("without_chief", sync=True, **story.flags)
    without_others = cluster("without_others", sync=True, **story.flags)
    without_chief.start(WORKER, OTHER_SERVER)
    without_others.start(CHIEF, SERVER)
    chief_address = without_chief.worker_hosts[0]
    without_chief.wait_for_log(WORKER, rf"waiting since 1\d s for worker 0 \({chief_address}\)")
    without_chief.wait_for_log(OTHER_SERVER, rf"waiting for the chief \({chief_address}\)")
    without_others.wait_for_log(CHIEF,
                                rf"waiting since 1\d s for ps 1 \({without_others.ps_hosts[1]}\)")
    without_chief.start(SERVER, CHIEF)
    without_others.start(WORKER, OTHER_SERVER)
    for job in [without_chief, without_others]:
        assert job.wait().digest() == story.digest()


def test_a_worker_that_comes_when_all_is_done(story, cluster):
    job = cluster(sync=True, **story.flags).start(SERVER, OTHER_SERVER, CHIEF)
    job.wait_for_log(CHIEF, "Done training")
    job.start(WORKER).wait()
    assert job.digest() == story.digest()


def test_start_timeout(story, cluster):
    job = cluster(common={"start_timeout": 1}, **story.flags)
    job.start(WORKER)
    check_refused(job, WORKER, f"waited 1 s for worker 0 ({job.worker_hosts[0]})")
    job.start(CHIEF)
    check_refused(job, CHIEF, "waited 1 s for ", *[f"ps {i} ({job.ps_hosts[i]})" for i in range(2)])
    job.start(SERVER)
    check_refused(job, SERVER, "ps 0 has heard nothing of the chief")


def test_same_port_twice(story, cluster):
    job = cluster(**story.flags)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(job.ps_hosts[0].split(":")[1])))
        taken.listen()
        job.start(SERVER)
        check_refused(job, SERVER, job.ps_hosts[0])


def test_second_copy_of_a_server(story, cluster):
    job = cluster(**story.flags | ENDLESS).start()
    job.wait_for_log(SERVER, "serves 1/2")
    copy = cluster("copy", ps_hosts=job.ps_hosts, worker_hosts=job.worker_hosts, **story.flags)
    copy.start(SERVER)
    check_refused(copy, SERVER, job.ps_hosts[0])
    assert not any(job.has_ended(task) for task in job.tasks), job.logs()


# Strangers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("liar", [WORKER, OTHER_SERVER])
def test_typo_in_one_list(story, cluster, liar):
    """As in the article: one task has another address in its list than all others."""
    job = cluster(**story.flags | ENDLESS)
    typo = f"127.0.0.9:{clusters.free_ports(1)[0]}"
    job.start(SERVER, CHIEF, *{WORKER, OTHER_SERVER} - {liar})
    job.start(liar, ps_hosts=[typo, job.ps_hosts[1]])
    who_says_so = WORKER if liar == WORKER else CHIEF
    check_refused(job, who_says_so, typo, job.ps_hosts[0])


@pytest.mark.parametrize("changes", [{"train_batch_size": 50}, {"sync": True}, {"seed": 6},
                                     {"model_file": "other/model.yaml"}])
def test_another_training(story, cluster, tmp_path, changes):
    write_model(tmp_path / "job/other", optimizer="sgd")
    job = cluster(**story.flags | ENDLESS).start(SERVER, OTHER_SERVER, CHIEF)
    job.start(WORKER, **changes)
    check_refused(job, WORKER, "the models differ", "worker 0", "worker 1")
    assert not job.has_ended(CHIEF)


def test_two_tasks_with_one_index(story, cluster):
    """The second "worker 1" cannot have the port, and the job goes on."""
    job = cluster(**story.flags | ENDLESS).start()
    job.wait_for_log(SERVER, "serves 1/2")
    copy = cluster("copy", ps_hosts=job.ps_hosts, worker_hosts=job.worker_hosts, **story.flags)
    copy.start(WORKER)
    check_refused(copy, WORKER, job.worker_hosts[1])


# Security -----------------------------------------------------------------------------------------


SECRET = "correct-horse-battery-staple-4711"


@pytest.fixture
def tokens(tmp_path):
    """Files with the right and with a wrong token."""
    paths = [tmp_path / "token", tmp_path / "wrong_token"]
    for path, text in zip(paths, [SECRET, "incorrect-horse-battery-staple"]):
        path.touch(mode=0o600)
        path.write_text(text + "\n")
    return paths


def test_token(story, cluster, tokens):
    """And it is nowhere to be read."""
    right, wrong = tokens
    job = cluster(sync=True, common={"auth_token_file": right}, **story.flags)
    job.start(SERVER, OTHER_SERVER)
    for token in [wrong, None]:
        job.start(CHIEF, auth_token_file=token)
        check_refused(job, CHIEF, "token")
    job.start(CHIEF)
    job.wait_for_log(SERVER, "serves 1/2")
    for token in [wrong, None]:
        job.start(WORKER, auth_token_file=token)
        check_refused(job, WORKER, "token")
    job.start(WORKER)
    assert job.wait().digest() == story.digest()
    for task, process in job.processes.items():
        assert SECRET not in job.log(task)


def test_token_is_on_no_command_line(story, cluster, tokens):
    job = cluster(common={"auth_token_file": tokens[0]}, **story.flags | ENDLESS).start()
    job.wait_for_log(SERVER, "serves 1/2")
    for process in job.processes.values():
        for name in ["cmdline", "environ"]:
            with open(f"/proc/{process.pid}/{name}") as file:
                assert SECRET not in file.read()


def test_beyond_loopback_with_nothing(story, cluster, tokens):
    """An address that others can call wants a token, TLS, or --insecure."""
    port = clusters.free_ports(1)[0]
    job = cluster(ps_hosts=[f"10.255.255.1:{port}"], servers=1, common={"start_timeout": 1},
                  **story.flags)
    job.start(SERVER)
    check_refused(job, SERVER, "a token file", "--insecure")
    for flags in [{"auth_token_file": tokens[0]}, {"insecure": True}]:
        job.start(SERVER, **flags)
        check_refused(job, SERVER, "ps 0 has heard nothing of the chief")


def test_empty_token_file(story, cluster, tmp_path):
    (tmp_path / "empty").write_text("\n")
    job = cluster(common={"auth_token_file": tmp_path / "empty"}, **story.flags)
    job.start(SERVER)
    check_refused(job, SERVER, str(tmp_path / "empty"), exit_code=2)


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True,
                   timeout=clusters.DEADLINE_S)


class Authority:
    """A CA, and certificates."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                "-nodes", "-days", 2, "-subj", "/CN=authority", "-keyout", folder / "ca.key",
                "-out", folder / "ca.pem")

    def flags(self, name, alternative_name="IP:127.0.0.1"):
        key, request, cert = (self.folder / f"{name}.{end}" for end in ["key", "csr", "pem"])
        names = self.folder / f"{name}.ext"
        names.write_text(f"subjectAltName={alternative_name}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.folder / "ca.pem", "-CAkey",
                self.folder / "ca.key", "-CAcreateserial", "-days", 2, "-extfile", names, "-out",
                cert)
        return {"tls_cert": cert, "tls_key": key, "tls_ca": self.folder / "ca.pem"}


def test_tls(story, cluster, tmp_path):
    """Each task with its certificate; without one, or with a stranger's, nobody is let in."""
    ours, strange = Authority(tmp_path / "ours"), Authority(tmp_path / "strange")
    job = cluster(sync=True, **story.flags)
    flags = {task: ours.flags("{}{}".format(*task)) for task in job.tasks}
    for task in [SERVER, OTHER_SERVER, CHIEF]:
        job.start(task, **flags[task])
    job.wait_for_log(SERVER, "serves 1/2")
    stranger = strange.flags("worker1")
    for refused in [{}, stranger]:
        job.start(WORKER, start_timeout=1, **refused)
        check_refused(job, WORKER, f"waited 1 s for worker 0 ({job.worker_hosts[0]})")
    job.start(WORKER, **stranger | {"tls_ca": ours.folder / "ca.pem"})
    check_refused(job, WORKER, f"{stranger['tls_cert']} is not vouched for by", exit_code=2)
    job.start(WORKER, **flags[WORKER])
    assert job.wait().digest() == story.digest()


def test_tls_by_another_name(story, cluster, tmp_path):
    """One name in all certificates, which is not the address of any task."""
    flags = Authority(tmp_path / "ours").flags("task", "DNS:tasks.example")
    job = cluster(sync=True, common=flags, **story.flags)
    job.start(SERVER, OTHER_SERVER, CHIEF, tls_server_name="tasks.example")
    job.wait_for_log(SERVER, "serves 1/2")
    for name in [None, "others.example"]:
        job.start(WORKER, start_timeout=1, tls_server_name=name)
        check_refused(job, WORKER, f"waited 1 s for worker 0 ({job.worker_hosts[0]})")
    job.start(WORKER, tls_server_name="tasks.example")
    assert job.wait().digest() == story.digest()


def test_a_name_without_certificates(story, cluster):
    job = cluster(**story.flags).start(SERVER, tls_server_name="tasks.example")
    check_refused(job, SERVER, "--tls_server_name", "--tls_cert", exit_code=2)


# End ----------------------------------------------------------------------------------------------


def test_sigterm_of_the_chief(story, cluster):
    """A checkpoint, 143, and the chief that is started again goes on from it."""
    flags = story.flags | ENDLESS | {"checkpoint_secs": 0, "steps_to_validate": 20}
    job = cluster(sync=True, **flags).start()
    job.wait_for_log(CHIEF, r"Step: \d+,")
    job.signal(CHIEF, signal.SIGTERM)
    assert job.exit_code(CHIEF) == 143, job.logs()
    stopped_at = job.steps()
    job.start(CHIEF)
    job.wait_for_log(CHIEF, f"Restore session from checkpoint: .*/model.ckpt-{stopped_at}")
    job.signal(CHIEF, signal.SIGTERM)
    assert job.exit_code(CHIEF) == 143, job.logs()
    assert job.steps() >= stopped_at
    assert not any(job.has_ended(task) for task in [SERVER, OTHER_SERVER, WORKER])


@pytest.mark.parametrize("task", [SERVER, WORKER])
def test_sigterm_of_others(story, cluster, task):
    job = cluster(**story.flags | ENDLESS).start()
    job.wait_for_log(OTHER_SERVER, "serves 1/2")
    job.signal(task, signal.SIGTERM)
    assert job.exit_code(task) == 143, job.logs()


def test_chief_is_gone_for_good(story, cluster):
    job = cluster(common={"peer_timeout": 1.5}, **story.flags | ENDLESS)
    port = clusters.free_ports(1)[0]
    job.start(SERVER, OTHER_SERVER, CHIEF).start(WORKER, metrics_port=port)
    clusters.until(lambda: metric(port, "capstan_pushes_total") > 0, job.logs)
    job.kill(CHIEF)
    check_refused(job, WORKER, f"the chief ({job.worker_hosts[0]}) is gone", exit_code=3)
    for task in [SERVER, OTHER_SERVER]:
        check_refused(job, task, "has heard nothing of the chief", exit_code=3)


def test_server_is_gone_for_good(story, cluster):
    job = cluster(common={"peer_timeout": 1.5}, **story.flags | ENDLESS).start()
    job.wait_for_log(OTHER_SERVER, "serves 1/2")
    job.kill(SERVER)
    check_refused(job, CHIEF, f"ps 0 ({job.ps_hosts[0]})", exit_code=3)
