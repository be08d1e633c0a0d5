"""The delivery under fire: a faulty network, dying processes, cut connections."""
