import time
from agent.services import *
def test_smoke(new_line):
    t=time.monotonic()
    def lap(w):
        nonlocal t
        n=time.monotonic(); print(w, round(n-t,2)); t=n
    with new_line() as line:
        lap("sandbox")
        line.start_bridge(); lap("bridge")
        w=line.start_worker(GENERATIVE, ANALYSIS, COMMUNICATION, threads=24); lap("worker")
        ids=line.submit(GENERATIVE,20)+line.submit(ANALYSIS,20)+line.submit(COMMUNICATION,20)
        lap("submit")
        line.wait_until_final(ids,30); lap("final")
        line.assert_sound(ids); lap("sound")
    lap("end")
