"""What NVFlare runs at the server and at the sites; needs NVFlare to be installed (extra ``federated``)."""
