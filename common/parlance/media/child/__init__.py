"""The program that touches untrusted media: a child process without files, network or secrets.

Started by `parlance.media.host`. It must start fast, so it imports PyAV, `parlance.media.wire`
and little of the standard library: no pydantic, no contracts, no asyncio.

    main      reads the job, confines itself, runs it, reports
    template  forks such processes from one that has FFmpeg loaded
    channel   the socket to the parent
    sandbox   limits, seccomp
    remote    the file, read through the socket
    opening   forced demuxer, choice of the stream, codecs that are allowed
    reading   packets to frames, counting what is corrupt
    headers   what the file says about its length, as far as it can be believed
    measuring job `probe`
    decoding  job `decode`
"""
