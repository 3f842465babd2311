use super::*;

#[tokio::test]
async fn both_ways_in_one_process() {
    let (mut station, mut vehicle) = in_process();
    vehicle.send(ToStation::Pilot(PilotState::B)).unwrap();
    station.send(ToVehicle::Pwm { duty_percent: 5.0 }).unwrap();
    assert_eq!(station.recv().await, Some(ToStation::Pilot(PilotState::B)));
    assert_eq!(vehicle.recv().await, Some(ToVehicle::Pwm { duty_percent: 5.0 }));
    drop(vehicle);
    assert_eq!(station.recv().await, None);
    assert!(!station.is_plugged());
}

#[tokio::test]
async fn over_a_socket_with_one_vehicle_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut outlet = Outlet::bind(dir.path().join("cable")).unwrap();
    let mut vehicle = plug_in(outlet.path()).await.unwrap();
    let mut station = outlet.plugged().await.unwrap();
    vehicle.send(ToStation::Frame(vec![7; 60])).unwrap();
    vehicle
        .send(ToStation::Battery {
            volts: 400.5,
            soc: 20.0,
        })
        .unwrap();
    assert_eq!(station.recv().await, Some(ToStation::Frame(vec![7; 60])));
    assert_eq!(
        station.recv().await,
        Some(ToStation::Battery {
            volts: 400.5,
            soc: 20.0
        })
    );
    station
        .send(ToVehicle::Output {
            volts: 1.0,
            amps: -2.0,
            closed: true,
        })
        .unwrap();
    assert!(matches!(
        vehicle.recv().await,
        Some(ToVehicle::Output { closed: true, .. })
    ));

    assert!(
        matches!(plug_in(outlet.path()).await, Err(CableError::Occupied { .. })),
        "a second plug is refused"
    );
    drop(vehicle);
    assert_eq!(station.recv().await, None);
    drop(station);
    // The slot is free again as soon as the old connection is wound up.
    let mut again = plug_in(outlet.path()).await;
    for _ in 0..50 {
        if again.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        again = plug_in(outlet.path()).await;
    }
    again.unwrap();
}

#[tokio::test]
async fn oversize_unknown_and_broken_messages_unplug() {
    use tokio::io::AsyncWriteExt as _;
    let dir = tempfile::tempdir().unwrap();
    for hostile in [
        &[0xFF, 0xFF, 0][..],
        &[0, 1, 9, 0],
        &[0, 2, 1, b'{', b'}'],
        &[
            0, 13, 1, b'{', b'"', b'F', b'r', b'a', b'm', b'e', b'"', b':', b'[', b']', b'}', b' ',
        ],
    ] {
        let mut outlet = Outlet::bind(dir.path().join("cable")).unwrap();
        let mut socket = UnixStream::connect(outlet.path()).await.unwrap();
        let mut station = outlet.plugged().await.unwrap();
        socket.write_all(hostile).await.unwrap();
        assert_eq!(station.recv().await, None, "{hostile:?}");
    }
}

#[tokio::test]
async fn a_peer_that_never_reads_is_unplugged_and_large_frames_are_refused() {
    let (station, _vehicle) = in_process();
    assert!(matches!(
        station.send(ToVehicle::Frame(vec![0; MAX_FRAME + 1])),
        Err(CableError::TooLarge(_))
    ));
    for _ in 0..MAX_QUEUED {
        station.send(ToVehicle::Pwm { duty_percent: 5.0 }).unwrap();
    }
    assert!(station.send(ToVehicle::Pwm { duty_percent: 5.0 }).is_err());
    assert!(!station.is_plugged());
}
