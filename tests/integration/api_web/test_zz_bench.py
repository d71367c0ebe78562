import json, time, random, cProfile, pstats, os
from tests.integration.api_web.test_ticket_uploads import *
words="the order was shipped on monday and has not arrived yet please check what happened with our parcel thank you very much for help".split()
r=random.Random(1)
def msg(i): return {"id":f"m{i}","role":("customer","agent")[i%2],"author":"Ada","text":" ".join(r.choices(words,k=30)),"created_at":f"2026-03-01T10:{i:02d}:00+01:00"}
async def test_bench(client):
    for rnd in range(3):
        body={"tickets":[{"external_id":f"Z-{rnd}-{n}","subject":"Refund","tags":["a"],"customer":{"name":"Ada"},"messages":[msg(i) for i in range(20)]} for n in range(500)]}
        data=json.dumps(body).encode()
        p=cProfile.Profile() if os.environ.get("PROF") and rnd==1 else None
        s=time.perf_counter(); c=time.process_time()
        if p: p.enable()
        x=await client.post(PATH,content=data,headers={"content-type":"application/json"})
        if p: p.disable(); pstats.Stats(p).sort_stats("tottime").print_stats(30)
        print("batch", x.status_code, round(time.perf_counter()-s,2), "cpu", round(time.process_time()-c,2))
    s=time.perf_counter()
    for i in range(50):
        x=await client.post(PATH,json={"messages":[msg(i) for i in range(20)]})
    print("single", (time.perf_counter()-s)/50*1000, "ms")
